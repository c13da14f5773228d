#include "fs/mount/mounts.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

namespace damonfs {

namespace {

constexpr const char* kMountinfo =
    "22 27 0:20 / /sys rw,nosuid shared:7 - sysfs sysfs rw\n"
    "27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
    "nonsense\n"
    "40 27 0:39 / /mnt/a\\040b\\134c rw shared:2 master:1 - fuse.damonfs damonfs rw,user_id=0\n"
    "42 41 0:41 / /mnt/x rw - fuse.damonfs damonfs rw\n"
    "41 27 0:40 / /mnt/x rw - tmpfs tmpfs rw\n";

TEST(MountsTest, ReadsMountinfo) {
  const auto mounts = parse_mounts(kMountinfo);
  ASSERT_EQ(mounts.size(), 5);
  EXPECT_EQ(mounts[2].id, 40);
  EXPECT_EQ(mounts[2].parent, 27);
  EXPECT_EQ(mounts[2].device, makedev(0, 39));
  EXPECT_EQ(mounts[2].mount_point, "/mnt/a b\\c");
  EXPECT_EQ(mounts[2].type, "fuse.damonfs");
  EXPECT_EQ(mounts[0].type, "sysfs");
}

TEST(MountsTest, LinesThatAreCutOffAreLeftOut) {
  const std::string line = "41 28 0:36 /root /mnt rw master:3 - tmpfs none rw";
  ASSERT_EQ(parse_mounts(line).size(), 1u);
  EXPECT_EQ(parse_mounts(line)[0].type, "tmpfs");
  for (const std::string cut : {"41 28 0:36 /root /mnt rw", "41 28 0:36 /root /mnt rw -", "41 28 0",
                                "x 28 0:36 /root /mnt rw - tmpfs", "41 28 36 / /mnt rw - tmpfs"}) {
    EXPECT_TRUE(parse_mounts(cut).empty()) << cut;
  }
}

TEST(MountsTest, FindsTheMountOnTop) {
  const auto mounts = parse_mounts(kMountinfo);
  EXPECT_EQ(top_mount(mounts, "/mnt/x")->id, 42);
  EXPECT_EQ(top_mount(mounts, "/sys")->id, 22);
  EXPECT_EQ(top_mount(mounts, "/mnt"), nullptr);
}

TEST(MountsTest, SeesThisMachinesMounts) {
  const auto mounts = read_mounts();
  ASSERT_NE(top_mount(mounts, "/proc"), nullptr);
  EXPECT_EQ(top_mount(mounts, "/proc")->type, "proc");
}

class ResolveTest : public testing::Test {
 protected:
  ResolveTest() {
    std::string name = std::filesystem::temp_directory_path() / "damonfs-mounts.XXXXXX";
    directory_ = std::filesystem::canonical(::mkdtemp(name.data()));
    std::filesystem::create_directory(directory_ / "real");
    std::filesystem::create_symlink("real", directory_ / "link");
  }
  ~ResolveTest() override { std::filesystem::remove_all(directory_); }
  ResolveTest(const ResolveTest&) = delete;
  ResolveTest& operator=(const ResolveTest&) = delete;

  std::filesystem::path directory_;
};

TEST_F(ResolveTest, GivesTheAbsolutePathWithoutLinks) {
  const std::string real = directory_ / "real";
  for (const auto* path : {"real", "link", "real/", "real//", "link/.", "link/../real", "./real"}) {
    EXPECT_EQ(resolve_mount_point(directory_ / path), real) << path;
  }
  EXPECT_EQ(resolve_mount_point("/proc/"), "/proc");
  EXPECT_EQ(resolve_mount_point("/"), "/");
}

TEST_F(ResolveTest, RefusesWhatIsNotThere) {
  EXPECT_EQ(resolve_mount_point(directory_ / "none").error().code, ENOENT);
  EXPECT_EQ(resolve_mount_point(directory_ / "none/below").error().code, ENOENT);
  EXPECT_EQ(resolve_mount_point("").error().code, ENOENT);
}

TEST_F(ResolveTest, OnlyADamonfsIsUnmounted) {
  EXPECT_EQ(unmount_damonfs(directory_ / "real").error().code, EINVAL);
  EXPECT_EQ(unmount_damonfs("/proc").error().code, EINVAL);
}

TEST_F(ResolveTest, MountingNeedsADirectory) {
  EXPECT_EQ(mount_damonfs(directory_ / "none", false).error().code, ENOENT);
  std::filesystem::create_directory_symlink("/proc/self/status", directory_ / "file");
  EXPECT_EQ(mount_damonfs(directory_ / "file", false).error().code, ENOTDIR);
}

TEST_F(ResolveTest, WhatADirectoryHoldsIsNotHidden) {
  const std::string full = directory_ / "real";
  std::filesystem::create_directory(directory_ / "real/below");
  const auto mounted = mount_damonfs(full, false);
  ASSERT_FALSE(mounted);
  EXPECT_EQ(mounted.error().code, ENOTEMPTY);
  EXPECT_EQ(mounted.error().message.find(full + " is not empty"), 0u) << mounted.error().message;
}

}  // namespace

}  // namespace damonfs
