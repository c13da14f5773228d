#include "fs/fuse/open_file.h"

#include <gmock/gmock.h>

#include <cerrno>

namespace damonfs {

namespace {

using testing::ElementsAre;
using testing::IsEmpty;

struct CountedText {
  std::string text = "0123456789\n";
  int shown = 0;
  bool refuse = false;
};

Result<std::string> show(const Call& call) {
  auto& object = call.object<CountedText>();
  ++object.shown;
  if (object.refuse) return fail(EBUSY, "busy");
  return object.text;
}

constexpr Attribute kOneFile[] = {{"file", 0400, show, nullptr}};
constexpr DirectoryType kOneFileType = {"type", kOneFile};

class OpenFileTest : public testing::Test {
 protected:
  std::string read(uint64_t offset, size_t size) {
    return file_.read(tree_, offset, size, {}).value_or("an error");
  }
  int error(uint64_t offset) {
    const auto text = file_.read(tree_, offset, 100, {});
    return text ? 0 : text.error().code;
  }

  Tree tree_;
  std::shared_ptr<CountedText> object_ = std::make_shared<CountedText>();
  OpenFile file_{{tree_.root().add_child("dir", kOneFileType, object_).shared_from_this(), 0}};
};

TEST_F(OpenFileTest, ReadsInARowSeeOneText) {
  EXPECT_EQ(read(0, 3), "012");
  object_->text = "abcdefghij\n";
  EXPECT_EQ(read(3, 3), "345");
  EXPECT_EQ(read(6, 100), "6789\n");
  EXPECT_EQ(read(11, 100), "");
  EXPECT_EQ(read(11, 100), "");
  EXPECT_EQ(object_->shown, 1);
}

TEST_F(OpenFileTest, AReadElsewhereMakesTheTextAnew) {
  read(0, 100);
  object_->text = "abc\n";
  EXPECT_EQ(read(0, 2), "ab");
  EXPECT_EQ(read(1, 100), "bc\n");
  EXPECT_EQ(read(50, 100), "");
  EXPECT_EQ(object_->shown, 4);
}

TEST_F(OpenFileTest, AnEmptyTextIsAskedForAgain) {
  object_->text = "";
  EXPECT_EQ(read(0, 100), "");
  object_->text = "x";
  EXPECT_EQ(read(0, 100), "x");
}

TEST_F(OpenFileTest, ARefusalDoesNotStay) {
  read(0, 3);
  object_->refuse = true;
  EXPECT_EQ(error(0), EBUSY);
  object_->refuse = false;
  EXPECT_EQ(read(3, 100), "3456789\n");
}

TEST_F(OpenFileTest, OnceTheDirectoryIsGoneOnlyTheRestOfTheTextCanBeRead) {
  read(0, 3);
  tree_.root().remove_child("dir");
  EXPECT_EQ(read(3, 100), "3456789\n");
  EXPECT_EQ(error(11), ENODEV);
  EXPECT_EQ(error(0), ENODEV);
  EXPECT_EQ(error(5), ENODEV);
}

std::vector<std::string> names(const OpenDirectory::Entries& entries) {
  std::vector<std::string> result;
  for (const auto& entry : *entries) result.push_back(entry.name);
  return result;
}

TEST(OpenDirectoryTest, KeepsItsEntriesUntilRewound) {
  Tree tree;
  Directory& above = tree.root().add_child("dir", kOneFileType, std::make_shared<CountedText>());
  above.add_child("0", kOneFileType, nullptr);
  OpenDirectory open(above.shared_from_this());
  EXPECT_THAT(names(open.entries(tree, true)), ElementsAre("file", "0"));
  above.add_child("1", kOneFileType, nullptr);
  EXPECT_THAT(names(open.entries(tree, false)), ElementsAre("file", "0"));
  EXPECT_THAT(names(open.entries(tree, true)), ElementsAre("file", "0", "1"));
  tree.root().remove_child("dir");
  EXPECT_THAT(names(open.entries(tree, true)), IsEmpty());
}

TEST(HandlesTest, GoWithTheSession) {
  const auto first = std::make_shared<Handle>();
  const auto second = std::make_shared<Handle>();
  {
    Handles handles;
    const uint64_t number = handles.add(first);
    EXPECT_NE(handles.add(second), number);
    EXPECT_EQ(handles.get<Handle>(number), first);
    handles.remove(number);
    EXPECT_EQ(first.use_count(), 1);
    EXPECT_EQ(second.use_count(), 2);
  }
  EXPECT_EQ(second.use_count(), 1);
}

}  // namespace

}  // namespace damonfs
