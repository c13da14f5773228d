// A folder that stands for the kernel's file systems in a test.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <vector>

#include "core/base/fd.h"
#include "ops/procfs/paths.h"

namespace damonfs {

// Files in it, and bits of a number in a process's pagemap.
inline constexpr const char* kIdleBitmapFile = "sys/kernel/mm/page_idle/bitmap";
inline constexpr const char* kPageFlagsFile = "proc/kpageflags";
inline constexpr uint64_t kPresent = uint64_t{1} << 63;
inline constexpr uint64_t kSwapped = uint64_t{1} << 62;
inline constexpr uint64_t kSoftDirty = uint64_t{1} << 55;

// A new, empty folder with `proc`, `sys` and `cgroup` inside; gone with all in it at the end.
class TempTree {
 public:
  TempTree() {
    std::string name = std::filesystem::temp_directory_path() / "damonfs-test.XXXXXX";
    root_ = ::mkdtemp(name.data());
    for (const char* folder : {"proc", "sys", "cgroup"}) make_folder(folder);
  }
  ~TempTree() { std::filesystem::remove_all(root_); }
  TempTree(const TempTree&) = delete;
  TempTree& operator=(const TempTree&) = delete;

  [[nodiscard]] Paths paths() const { return {root_ / "proc", root_ / "sys", root_ / "cgroup"}; }
  [[nodiscard]] std::string path(const std::string& name) const { return root_ / name; }

  void make_folder(const std::string& name) const {
    std::filesystem::create_directories(root_ / name);
  }

  // Makes or replaces a file, and the folders it is in.
  void write(const std::string& name, const std::string& text) const {
    make_folder(std::filesystem::path(name).parent_path());
    std::ofstream(root_ / name, std::ios::binary) << text;
  }

  // Sets one number of a file of 64-bit numbers, which may be sparse and is made if need be.
  void put_number(const std::string& name, uint64_t index, uint64_t value) const {
    make_folder(std::filesystem::path(name).parent_path());
    const Fd file(::open(path(name).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    ASSERT_EQ(8, ::pwrite(file.get(), &value, 8, static_cast<off_t>(index * 8)));
  }

  [[nodiscard]] uint64_t number(const std::string& name, uint64_t index) const {
    const Fd file(::open(path(name).c_str(), O_RDONLY | O_CLOEXEC));
    uint64_t value = 0;
    EXPECT_LE(0, ::pread(file.get(), &value, 8, static_cast<off_t>(index * 8)));
    return value;
  }

  // Name of a file of process `pid` in the tree.
  [[nodiscard]] static std::string of_process(pid_t pid, const std::string& file) {
    return "proc/" + std::to_string(pid) + "/" + file;
  }

 private:
  std::filesystem::path root_;
};

}  // namespace damonfs
