#include "ops/procfs/free_memory.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace damonfs {

namespace {

class FreeMemoryTest : public testing::Test {
 protected:
  FreeMemoryTest() {
    std::string name = std::filesystem::temp_directory_path() / "damonfs-free.XXXXXX";
    root_ = ::mkdtemp(name.data());
    paths_.proc = root_ / "proc";
    paths_.cgroup = root_ / "cgroup";
  }
  ~FreeMemoryTest() override { std::filesystem::remove_all(root_); }
  FreeMemoryTest(const FreeMemoryTest&) = delete;
  FreeMemoryTest& operator=(const FreeMemoryTest&) = delete;

  void write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }

  std::filesystem::path root_;
  Paths paths_;
};

TEST_F(FreeMemoryTest, WhatCannotBeReadIsNoLimit) {
  EXPECT_EQ(free_memory(paths_), UINT64_MAX);
  write("proc/meminfo", "MemTotal: 12 kB\nnonsense\n");
  write("proc/self/cgroup", "0::/gone/away\n");
  EXPECT_EQ(free_memory(paths_), UINT64_MAX);
}

TEST_F(FreeMemoryTest, IsWhatTheMachineHasAvailable) {
  write("proc/meminfo", "MemTotal:       100 kB\nMemFree:  1 kB\nMemAvailable:     40 kB\n");
  EXPECT_EQ(free_memory(paths_), 40 * 1024);
}

TEST_F(FreeMemoryTest, IsBoundedByEveryCgroupAbove) {
  write("proc/meminfo", "MemAvailable:     40 kB\n");
  write("proc/self/cgroup", "1:name=systemd:/other\n0::/above/own\n");
  write("cgroup/above/own/memory.max", "max\n");
  write("cgroup/above/own/memory.current", "1000\n");
  EXPECT_EQ(free_memory(paths_), 40 * 1024);
  write("cgroup/above/memory.max", "5000\n");
  write("cgroup/above/memory.current", "2000\n");
  EXPECT_EQ(free_memory(paths_), 3000);
  write("cgroup/above/own/memory.max", "1500\n");
  EXPECT_EQ(free_memory(paths_), 500);
  write("cgroup/above/own/memory.current", "1700\n");
  EXPECT_EQ(free_memory(paths_), 0);
}

}  // namespace

}  // namespace damonfs
