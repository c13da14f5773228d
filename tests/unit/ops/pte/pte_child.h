// A process to watch, that does what it is told when it is told.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/base/page_size.h"
#include "core/operations.h"
#include "core/target.h"
#include "ops/procfs/process.h"
#include "tests/unit/ops/child.h"

namespace damonfs {

// Fresh anonymous memory; not faulted in. A child inherits the mapping, and pages only as far as
// this process has touched them before.
class FreshMemory {
 public:
  explicit FreshMemory(size_t pages, int flags = MAP_PRIVATE | MAP_ANONYMOUS, int fd = -1,
                       int protection = PROT_READ | PROT_WRITE)
      : size_(pages * kPageSize), data_(::mmap(nullptr, size_, protection, flags, fd, 0)) {
    EXPECT_NE(data_, MAP_FAILED);
    // In small pages, unless a test asks for large ones.
    ::madvise(data_, size_, MADV_NOHUGEPAGE);
  }
  ~FreshMemory() { ::munmap(data_, size_); }
  FreshMemory(const FreshMemory&) = delete;
  FreshMemory& operator=(const FreshMemory&) = delete;

  [[nodiscard]] volatile char* page(size_t i) const {
    return static_cast<volatile char*>(data_) + i * kPageSize;
  }
  [[nodiscard]] uint64_t addr(size_t i) const { return reinterpret_cast<uint64_t>(page(i)); }
  [[nodiscard]] size_t pages() const { return size_ / kPageSize; }
  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] void* data() const { return data_; }

 private:
  size_t size_;
  void* data_;
};

// A child of this process that waits, does one of the actions it was made with, waits again. Killed
// and reaped with this.
class Actor {
 public:
  using Action = std::function<void()>;

  explicit Actor(const std::vector<Action>& actions) {
    EXPECT_EQ(::pipe(orders_.data()), 0);
    EXPECT_EQ(::pipe(answers_.data()), 0);
    pid_ = ::fork();
    if (pid_ == 0) obey(actions);
    ::close(orders_[0]);
    ::close(answers_[1]);
    auto opened = Process::open(pid_, Paths{});
    EXPECT_TRUE(opened) << opened.error().message;
    process_ = *opened;
  }
  ~Actor() {
    end();
    ::close(orders_[1]);
    ::close(answers_[0]);
  }
  Actor(const Actor&) = delete;
  Actor& operator=(const Actor&) = delete;

  // Does actions[i] and waits until it is done.
  void run(size_t i) {
    start(i);
    char done = 0;
    EXPECT_EQ(::read(answers_[0], &done, 1), 1) << "the child is gone";
  }
  // Does not wait: for actions that do not come back.
  void start(size_t i) {
    const char order = static_cast<char>(i);
    EXPECT_EQ(::write(orders_[1], &order, 1), 1);
  }
  // Kills and reaps it.
  void end() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] const std::shared_ptr<Process>& process() const { return process_; }
  // The end of the orders' pipe that an action may read from, in the child.
  [[nodiscard]] int orders() const { return orders_[0]; }

 private:
  [[noreturn]] void obey(const std::vector<Action>& actions) const {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::close(orders_[1]);
    ::close(answers_[0]);
    char order = 0;
    while (::read(orders_[0], &order, 1) == 1) {
      actions[static_cast<size_t>(order)]();
      if (::write(answers_[1], &order, 1) != 1) break;
    }
    ::_exit(0);
  }

  std::array<int, 2> orders_{};
  std::array<int, 2> answers_{};
  pid_t pid_ = -1;
  std::shared_ptr<Process> process_;
};

// A target that watches a child, with samples.
class Watch {
 public:
  explicit Watch(const Actor& child) : target_(pool_, child.process()) {}

  std::vector<Sample> samples_at(const std::vector<uint64_t>& addrs) const {
    std::vector<Sample> made;
    for (const uint64_t addr : addrs) made.push_back({.target = &target_, .addr = addr});
    return made;
  }
  // One sample somewhere in each page of `memory`.
  std::vector<Sample> samples(const FreshMemory& memory) const {
    std::vector<uint64_t> addrs;
    for (size_t i = 0; i < memory.pages(); ++i) addrs.push_back(memory.addr(i) + i * 7 % kPageSize);
    return samples_at(addrs);
  }

 private:
  RegionPool pool_;
  Target target_;
};

// The sum of a field of /proc/PID/smaps, in KiB.
inline uint64_t smaps_kib(pid_t pid, const std::string& field) {
  std::ifstream smaps("/proc/" + std::to_string(pid) + "/smaps");
  uint64_t sum = 0;
  for (std::string word; smaps >> word;) {
    uint64_t kib = 0;
    if (word == field + ":" && smaps >> kib) sum += kib;
  }
  return sum;
}

}  // namespace damonfs
