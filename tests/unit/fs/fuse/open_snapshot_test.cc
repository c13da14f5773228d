// A file whose text is made as it is opened.
#include <gtest/gtest.h>

#include <cerrno>
#include <new>

#include "fs/fuse/open_file.h"
#include "fs/tree/node.h"

namespace damonfs {
namespace {

TEST(OpenSnapshotTest, ReadsAnyPartOfOneText) {
  SnapshotMemory memory;
  const OpenSnapshot file(std::string(5000, 'a') + "end", memory);
  EXPECT_EQ(file.read(0, 4096), std::string(4096, 'a'));
  EXPECT_EQ(file.read(4999, 100), "aend");
  EXPECT_EQ(file.read(5003, 100), "");
  EXPECT_EQ(file.read(UINT64_MAX, 100), "");
  EXPECT_EQ(file.read(0, 0), "");
}

TEST(OpenSnapshotTest, TextsTakeBoundedMemory) {
  SnapshotMemory memory;
  ASSERT_TRUE(memory.take(SnapshotMemory::kMaxBytes - 10));
  {
    const OpenSnapshot file(std::string(10, 'a'), memory);
    EXPECT_THROW(OpenSnapshot("a", memory), std::bad_alloc);
    EXPECT_EQ(file.read(0, 100).size(), 10);
  }
  EXPECT_TRUE(memory.take(10));
  EXPECT_FALSE(memory.take(1));
  EXPECT_FALSE(memory.take(UINT64_MAX - SnapshotMemory::kMaxBytes));
  memory.give_back(1);
  EXPECT_TRUE(memory.take(1));
}

constexpr Attribute kRows[] = {
    {.name = "text",
     .mode = 0400,
     .show = nullptr,
     .store = nullptr,
     .snapshot = [](const Call&) -> Result<std::string> { return std::string(10000, 'a'); }},
};
constexpr DirectoryType kSnapshotsType = {"snapshots", kRows};

TEST(OpenSnapshotTest, IsOfAnySize) {
  Tree tree;
  Directory* directory = nullptr;
  {
    const std::lock_guard lock(tree.mutex());
    directory = &tree.root().add_child("directory", kSnapshotsType, nullptr);
  }
  const auto text = tree.take_snapshot(*directory, 0, {});
  ASSERT_TRUE(text);
  EXPECT_EQ(text->size(), 10000);
  EXPECT_EQ(tree.read(*directory, 0, {}).error().code, EIO);
  EXPECT_EQ(tree.write(*directory, 0, "x", {}).error().code, EIO);
  const auto held = directory->shared_from_this();
  {
    const std::lock_guard lock(tree.mutex());
    tree.root().remove_child("directory");
  }
  EXPECT_EQ(tree.take_snapshot(*held, 0, {}).error().code, ENODEV);
}

}  // namespace
}  // namespace damonfs
