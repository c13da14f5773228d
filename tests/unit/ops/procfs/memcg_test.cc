#include "ops/procfs/memcg.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>

namespace damonfs {
namespace {

// A plain folder in place of cgroupfs: / and /a/b are memory cgroups, /a is one without the
// controller.
class MemcgTest : public testing::Test {
 protected:
  MemcgTest()
      : root_(std::filesystem::path(testing::TempDir()) /
              ("damonfs-memcg-test." + std::to_string(::getpid()))) {
    std::filesystem::remove_all(root_);
    std::filesystem::create_directories(root_ / "a" / "b");
    std::ofstream(root_ / "memory.stat") << "anon 0\n";
    std::ofstream(root_ / "a" / "b" / "memory.stat") << "anon 0\n";
    paths_.cgroup = root_.string();
  }
  ~MemcgTest() override { std::filesystem::remove_all(root_); }

  uint64_t inode(const char* name) const {
    struct stat status = {};
    stat((root_ / name).c_str(), &status);
    return status.st_ino;
  }

  std::filesystem::path root_;
  Paths paths_;
};

TEST_F(MemcgTest, FoundByPath) {
  EXPECT_EQ(find_memcg(paths_, "/").value(), inode("."));
  EXPECT_EQ(find_memcg(paths_, "/a/b").value(), inode("a/b"));
  EXPECT_EQ(find_memcg(paths_, "/a/b\n").value(), inode("a/b"));
}

TEST_F(MemcgTest, WithoutMemoryControllerThereIsNone) {
  EXPECT_EQ(find_memcg(paths_, "/a").error().code, EINVAL);
}

TEST_F(MemcgTest, OnlyTheKernelsSpellingIsKnown) {
  for (const char* path : {"", "\n", "a/b", "/a/b/", "//a/b", "/a//b", "/a/./b", "/a/b/../b", "/..",
                           "//", "/nobody", "/a/b/memory.stat", "/a/b\n\n", "/memory.stat"}) {
    const auto found = find_memcg(paths_, path);
    ASSERT_FALSE(found) << path;
    EXPECT_EQ(found.error().code, EINVAL) << path;
  }
}

}  // namespace
}  // namespace damonfs
