// Processes and memory that a test watches.
#pragma once

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>

namespace damonfs {

// A process that sleeps until it is killed, which it is at the latest when it goes out of scope.
class Child {
 public:
  Child() : pid_(::fork()) {
    if (pid_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) ::pause();
  }
  // Takes over a child that somebody else made.
  explicit Child(pid_t pid) : pid_(pid) {}
  ~Child() {
    kill();
    reap();
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }

  // Ends it; it is a zombie from then on.
  void kill() const {
    if (reaped_) return;
    ::kill(pid_, SIGKILL);
    siginfo_t info;
    ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT);
  }
  void reap() {
    if (!reaped_) ::waitpid(pid_, nullptr, 0);
    reaped_ = true;
  }

 private:
  pid_t pid_;
  bool reaped_ = false;
};

// Has the processors forget the translations of our addresses, which marking pages idle,
// clearing by clear_refs and the kernel's DAMON leave alone: unmapping more than some pages flushes
// all of them.
inline void flush_tlb() {
  constexpr size_t kSize = size_t{256} << 12;
  void* memory = ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) std::abort();
  ::munmap(memory, kSize);
}

// Anonymous memory of our own, aligned to 2 MiB, of which every page was written to.
class Memory {
 public:
  Memory(size_t size, bool huge) : size_(size) {
    constexpr size_t kHuge = size_t{2} << 20;
    whole_size_ = size + kHuge;
    whole_ = static_cast<char*>(
        ::mmap(nullptr, whole_size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (whole_ == MAP_FAILED) std::abort();
    start_ = whole_ + (kHuge - reinterpret_cast<uintptr_t>(whole_) % kHuge) % kHuge;
    ::madvise(start_, size, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    for (size_t at = 0; at < size; at += kPage) start_[at] = 1;
  }
  ~Memory() { ::munmap(whole_, whole_size_); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  static constexpr size_t kPage = 4096;
  [[nodiscard]] size_t pages() const { return size_ / kPage; }
  [[nodiscard]] uint64_t address(size_t page) const {
    return reinterpret_cast<uint64_t>(start_) + page * kPage;
  }
  void write(size_t page) { const_cast<volatile char&>(start_[page * kPage]) = 2; }
  void read(size_t page) const {
    [[maybe_unused]] const char read = const_cast<volatile const char&>(start_[page * kPage]);
  }

 private:
  size_t size_;
  size_t whole_size_;
  char* whole_;
  char* start_;
};

}  // namespace damonfs
