#include "fs/tree/attributes.h"

#include <gtest/gtest.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace damonfs {

namespace {

struct Item {};

// The kernel forgets removed directories whenever it likes, also while others are made.
TEST(RenumberTest, DirectoriesThatAreLetGoMeanwhileDoNotCount) {
  Tree tree;
  const std::lock_guard lock(tree.mutex());
  Directory& parent = tree.root().add_child("items", kPlainDirectory, nullptr);
  std::vector<std::shared_ptr<Directory>> held;
  for (int i = 0; i < 10; ++i) {
    held.push_back(
        parent.add_child(std::to_string(i), kPlainDirectory, nullptr).shared_from_this());
  }
  Numbered<Item> items;
  const auto add = [&held](Directory& directory, const std::string& name, const auto& item) {
    held.clear();
    directory.add_child(name, kPlainDirectory, item);
  };
  const auto made = renumber(parent, items, 3, add);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(items.size(), 3);
  EXPECT_EQ(parent.children().size(), 3);
}

// One directory of many, with more below it than a tree may have in all.
TEST(RenumberTest, MoreThanATreeMayHaveIsRefusedAndLeavesNone) {
  Tree tree;
  const std::lock_guard lock(tree.mutex());
  Directory& parent = tree.root().add_child("items", kPlainDirectory, nullptr);
  Numbered<Item> items;
  const auto add = [](Directory& directory, const std::string& name, const auto& item) {
    Directory& made = directory.add_child(name, kPlainDirectory, item);
    for (int i = 0; i < 20; ++i) made.add_child(std::to_string(i), kPlainDirectory, nullptr);
  };
  const auto made = renumber(parent, items, 400'000, add);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ENOMEM);
  EXPECT_TRUE(items.empty());
  EXPECT_TRUE(parent.children().empty());
}

}  // namespace

}  // namespace damonfs
