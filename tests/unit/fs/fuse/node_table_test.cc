#include "fs/fuse/node_table.h"

#include <gmock/gmock.h>

namespace damonfs {

namespace {

constexpr Attribute kTwoFiles[] = {{"a", 0600, nullptr, nullptr}, {"b", 0600, nullptr, nullptr}};
constexpr DirectoryType kTwoFilesType = {"type", kTwoFiles};

class NodeTableTest : public testing::Test {
 protected:
  Tree tree_;
  std::shared_ptr<Directory> directory_ =
      tree_.root().add_child("dir", kTwoFilesType, nullptr).shared_from_this();
  NodeTable table_{tree_.root().shared_from_this()};
};

TEST_F(NodeTableTest, TheRootIsNeverForgotten) {
  table_.forget(1, 5);
  ASSERT_TRUE(table_.find(1));
  EXPECT_EQ(table_.find(1)->directory.get(), &tree_.root());
  table_.add({tree_.root().shared_from_this(), -1});
  table_.forget(1, 1);
  EXPECT_TRUE(table_.knows(1));
}

TEST_F(NodeTableTest, FindsDirectoriesAndFilesByTheirNumbers) {
  const Node file{directory_, 1};
  EXPECT_EQ(file.inode(), directory_->inode() + 2);
  EXPECT_EQ(file.attribute().name, "b");
  EXPECT_FALSE(table_.find(file.inode()));
  table_.add(file);
  ASSERT_TRUE(table_.find(file.inode()));
  EXPECT_EQ(table_.find(file.inode())->index, 1);
  EXPECT_FALSE(table_.find(file.inode())->is_directory());
}

TEST_F(NodeTableTest, CountsWhatTheKernelWasToldOf) {
  const Node file{directory_, 0};
  const Node self{directory_, -1};
  table_.add(file);
  table_.add(file);
  table_.add(self);
  EXPECT_TRUE(table_.knows(self.inode()));
  table_.forget(file.inode(), 1);
  EXPECT_TRUE(table_.knows(file.inode()));
  table_.forget(file.inode(), 1);
  EXPECT_FALSE(table_.knows(file.inode()));
  EXPECT_TRUE(table_.knows(self.inode()));
  table_.forget(self.inode(), 1);
  EXPECT_FALSE(table_.find(self.inode()));
  EXPECT_FALSE(table_.knows(self.inode()));
}

TEST_F(NodeTableTest, TellsWhichFilesTheKernelKnows) {
  EXPECT_TRUE(table_.files_known(directory_->inode()).empty());
  table_.add({directory_, -1});
  table_.add({directory_, 1});
  const auto files = table_.files_known(directory_->inode());
  ASSERT_EQ(files.size(), 1);
  EXPECT_EQ(files[0].attribute().name, "b");
  table_.forget(directory_->inode() + 2, 1);
  EXPECT_TRUE(table_.files_known(directory_->inode()).empty());
}

TEST_F(NodeTableTest, HoldsWhatLeftTheTreeUntilItIsForgotten) {
  const std::weak_ptr<Directory> weak = directory_;
  const uint64_t inode = directory_->inode();
  table_.add({directory_, 1});
  tree_.root().remove_child("dir");
  directory_.reset();
  EXPECT_FALSE(weak.expired());
  EXPECT_TRUE(table_.find(inode + 2)->directory->removed());
  table_.forget(inode + 2, 1);
  EXPECT_TRUE(weak.expired());
}

// The kernel forgets an answer that it does not use, although it knows the directory from another
// one.
TEST_F(NodeTableTest, WhatAnEarlierDaemonToldOfIsKnownWhileItIsThere) {
  const uint64_t inode = directory_->inode();
  table_.adopt(directory_);
  table_.add({directory_, 1});
  table_.forget(inode + 2, 1);
  table_.forget(inode, 1);
  ASSERT_TRUE(table_.find(inode));
  EXPECT_EQ(table_.find(inode)->directory, directory_);
  EXPECT_EQ(table_.find(inode + 2)->index, 1);
  EXPECT_TRUE(table_.knows(inode));
  EXPECT_EQ(table_.files_known(inode).size(), 2);
  tree_.root().remove_child("dir");
  directory_.reset();
  EXPECT_FALSE(table_.find(inode));
  EXPECT_FALSE(table_.knows(inode));
  EXPECT_TRUE(table_.files_known(inode).empty());
}

TEST_F(NodeTableTest, IgnoresWhatItDoesNotKnow) {
  table_.forget(12345, 1);
  table_.add({directory_, 0});
  table_.forget(directory_->inode(), 7);
  EXPECT_TRUE(table_.knows(directory_->inode() + 1));
}

}  // namespace

}  // namespace damonfs
