// What benchmarks of accessed bits watch.
#pragma once

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <cstdlib>

#include "core/base/page_size.h"
#include "core/region.h"

namespace damonfs {

// A child with memory, all of it there, that writes to one page in `hot_every` of it (0: to none)
// when it is told to, and sleeps meanwhile. It ends with this.
class TouchedChild {
 public:
  TouchedChild(uint64_t bytes, bool huge, uint64_t hot_every = 1) : bytes_(bytes) {
    memory_ = static_cast<char*>(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    if (memory_ == MAP_FAILED || ::pipe(orders_.data()) != 0 || ::pipe(answers_.data()) != 0)
      std::abort();
    ::madvise(memory_, bytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    pid_ = ::fork();
    if (pid_ == 0) obey(hot_every);
    wait();
  }
  ~TouchedChild() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    for (const int fd : {orders_[0], orders_[1], answers_[0], answers_[1]}) ::close(fd);
    ::munmap(memory_, bytes_);
  }
  TouchedChild(const TouchedChild&) = delete;
  TouchedChild& operator=(const TouchedChild&) = delete;

  // Returns when it has written.
  void touch() const {
    if (::write(orders_[1], "x", 1) != 1) std::abort();
    wait();
  }
  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] AddrRange range() const {
    const auto start = reinterpret_cast<uint64_t>(memory_);
    return {start, start + bytes_};
  }

 private:
  [[noreturn]] void obey(uint64_t hot_every) const {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (uint64_t at = 0; at < bytes_; at += kPageSize) memory_[at] = 1;
    char order = 0;
    while (::write(answers_[1], "x", 1) == 1 && ::read(orders_[0], &order, 1) == 1)
      for (uint64_t at = 0; hot_every != 0 && at < bytes_; at += kPageSize * hot_every)
        memory_[at] = 2;
    ::_exit(0);
  }
  void wait() const {
    char answer = 0;
    if (::read(answers_[0], &answer, 1) != 1) std::abort();
  }

  uint64_t bytes_;
  char* memory_;
  std::array<int, 2> orders_{};
  std::array<int, 2> answers_{};
  pid_t pid_ = -1;
};

}  // namespace damonfs
