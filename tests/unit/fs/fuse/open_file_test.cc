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

// At most `max` entries from `offset` on; what follows begins at `offset` afterwards.
std::vector<std::string> list(const OpenDirectory& open, uint64_t& offset, size_t max = 100) {
  std::vector<std::string> names;
  open.list(offset, [&](const OpenDirectory::Entry& entry) {
    if (names.size() == max) return false;
    names.emplace_back(entry.name);
    offset = entry.next;
    return true;
  });
  return names;
}

class OpenDirectoryTest : public testing::Test {
 protected:
  OpenDirectoryTest() {
    for (const auto* name : {"10", "9", "named", "0", "also"}) {
      above_.add_child(name, kOneFileType, nullptr);
    }
  }

  Tree tree_;
  Directory& above_ = tree_.root().add_child("dir", kOneFileType, nullptr);
  OpenDirectory open_{above_.shared_from_this()};
  uint64_t offset_ = 0;
};

TEST_F(OpenDirectoryTest, ListsFilesThenNamesThenNumbers) {
  EXPECT_THAT(list(open_, offset_),
              ElementsAre(".", "..", "file", "also", "named", "0", "9", "10"));
  EXPECT_THAT(list(open_, offset_), IsEmpty());
}

TEST_F(OpenDirectoryTest, GoesOnWhereverItWas) {
  std::vector<std::string> all;
  for (int i = 0; i < 8; ++i) {
    const auto one = list(open_, offset_, 1);
    ASSERT_EQ(one.size(), 1);
    all.push_back(one.front());
  }
  uint64_t start = 0;
  EXPECT_EQ(all, list(open_, start));
  EXPECT_THAT(list(open_, offset_, 1), IsEmpty());
}

TEST_F(OpenDirectoryTest, ListsNothingTwiceHoweverItChanges) {
  EXPECT_THAT(list(open_, offset_, 6), ElementsAre(".", "..", "file", "also", "named", "0"));
  above_.remove_numbered_children();
  for (const auto* name : {"0", "1", "12"}) above_.add_child(name, kOneFileType, nullptr);
  EXPECT_THAT(list(open_, offset_), ElementsAre("1", "12"));
  offset_ = 0;
  EXPECT_THAT(list(open_, offset_),
              ElementsAre(".", "..", "file", "also", "named", "0", "1", "12"));
}

TEST_F(OpenDirectoryTest, KnowsTheInodesOfBothDots) {
  std::vector<uint64_t> inodes;
  const auto take = [&](const OpenDirectory::Entry& entry) {
    inodes.push_back(entry.inode);
    return inodes.size() % 2 != 0;
  };
  open_.list(0, take);
  OpenDirectory(tree_.root().shared_from_this()).list(0, take);
  EXPECT_THAT(inodes, ElementsAre(above_.inode(), 1, 1, 1));
}

TEST_F(OpenDirectoryTest, IsEmptyOnceItIsRemoved) {
  list(open_, offset_, 4);
  tree_.root().remove_child("dir");
  EXPECT_THAT(list(open_, offset_), IsEmpty());
  offset_ = 0;
  EXPECT_THAT(list(open_, offset_), ElementsAre(".", ".."));
}

std::shared_ptr<Handle> a_file(Tree& tree) {
  return std::make_shared<Handle>(std::in_place_type<OpenFile>,
                                  Node{tree.root().shared_from_this(), 0});
}

TEST(HandlesTest, AreOfOneKind) {
  Tree tree;
  Handles handles;
  const uint64_t file = handles.add(a_file(tree));
  const uint64_t stream = handles.add(std::make_shared<Handle>(
      std::in_place_type<OpenStream>, Node{tree.root().shared_from_this(), 0}, nullptr));
  EXPECT_NE(handles.find<OpenFile>(file), nullptr);
  EXPECT_EQ(handles.find<OpenStream>(file), nullptr);
  EXPECT_EQ(handles.find<OpenDirectory>(file), nullptr);
  EXPECT_EQ(handles.find<OpenFile>(stream), nullptr);
  EXPECT_NE(handles.find<OpenStream>(stream), nullptr);
  EXPECT_EQ(handles.find<OpenFile>(12345), nullptr);
  handles.remove(12345);
}

TEST(HandlesTest, GoWithTheSession) {
  Tree tree;
  const auto first = a_file(tree);
  const auto second = a_file(tree);
  {
    Handles handles;
    const uint64_t number = handles.add(first);
    EXPECT_NE(handles.add(second), number);
    EXPECT_EQ(handles.find(number), first);
    handles.remove(number);
    EXPECT_EQ(first.use_count(), 1);
    EXPECT_EQ(second.use_count(), 2);
  }
  EXPECT_EQ(second.use_count(), 1);
}

}  // namespace

}  // namespace damonfs
