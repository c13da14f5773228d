// What tests of actions work on: plain folders in place of the kernel's file systems, children with
// known memory, and schemes' work on them.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/magic.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "core/operations.h"
#include "core/scheme.h"
#include "core/target.h"
#include "ops/actions/action_calls.h"
#include "ops/pages/process_pages.h"
#include "ops/procfs/process.h"
#include "tests/unit/ops/temp_tree.h"

namespace damonfs {

inline void PrintTo(const AddrRange& range, std::ostream* out) {
  *out << "[" << range.start << ", " << range.end << ")";
}

// Where tests have the pages of a FakeSystem begin, 2 MiB aligned, and the frames behind them.
inline constexpr uint64_t kBase = uint64_t{0x7f1200} << 20;
inline constexpr uint64_t kFrame = 0x40000;

// The pages there from number `first` up to, not including, `last`.
inline AddrRange at(uint64_t first, uint64_t last) {
  return {kBase + first * kPageSize, kBase + last * kPageSize};
}

inline Filter filter(FilterType type, bool matching, bool allow) {
  return {.type = type, .matching = matching, .allow = allow, .memcg_path = {}, .addr = {}};
}

// procfs, sysfs and cgroupfs as folders, with this process in them.
class FakeSystem : public TempTree {
 public:
  FakeSystem() {
    write(of_process(getpid(), "pagemap"), "");
    set_maps("");
  }

  void set_maps(const std::string& text) const { write(of_process(getpid(), "maps"), text); }
  void set_page(uint64_t addr, uint64_t bits) const {
    put_number(of_process(getpid(), "pagemap"), addr / kPageSize, bits);
  }
  // A present page of private memory, or of a file.
  void map_page(uint64_t addr, uint64_t frame, bool file = false) const {
    set_page(addr, uint64_t{1} << 63 | (file ? uint64_t{1} << 61 : 0) | frame);
  }
  void set_flags(uint64_t frame, uint64_t flags) const {
    put_number("proc/kpageflags", frame, flags);
  }
  [[nodiscard]] std::shared_ptr<Process> process() const {
    return Process::open(getpid(), paths()).value();
  }
};

// A child process that sets up its memory and sleeps; killed with its owner.
class MemoryChild {
 public:
  // `setup` runs in the child and returns the address that at() tells; null fails the test.
  explicit MemoryChild(const std::function<void*()>& setup) {
    int ends[2];
    if (pipe(ends) != 0) return;
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      void* address = setup();
      const bool told = ::write(ends[1], &address, sizeof(address)) == sizeof(address);
      if (told) {
        for (;;) pause();
      }
      _exit(1);
    }
    ::close(ends[1]);
    void* address = nullptr;
    EXPECT_EQ(::read(ends[0], &address, sizeof(address)), ssize_t{sizeof(address)});
    EXPECT_NE(address, nullptr);
    ::close(ends[0]);
    at_ = reinterpret_cast<uint64_t>(address);
  }
  ~MemoryChild() { end(); }
  MemoryChild(const MemoryChild&) = delete;
  MemoryChild& operator=(const MemoryChild&) = delete;

  void end() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] uint64_t at() const { return at_; }
  // The pages with these numbers in its memory.
  [[nodiscard]] AddrRange pages(uint64_t first, uint64_t last) const {
    return {at_ + first * kPageSize, at_ + last * kPageSize};
  }
  [[nodiscard]] std::shared_ptr<Process> process() const {
    return Process::open(pid_, Paths()).value();
  }
  // How many pages of `range` are in `state`.
  [[nodiscard]] uint64_t count(PageState state, AddrRange range) const {
    Kpageflags frames{Paths()};
    auto info = ProcessPages::open(*process(), frames);
    return total_size(info.value().find(state, std::span(&range, 1))) / kPageSize;
  }

 private:
  pid_t pid_ = 0;
  uint64_t at_ = 0;
};

// Private memory of `nr_pages`, none of it touched, without huge pages; null when there is none.
// Behind it as much again is mapped, but never there.
inline char* map_private(uint64_t nr_pages, int advice = MADV_NOHUGEPAGE) {
  const uint64_t size = nr_pages * kPageSize;
  void* at = mmap(nullptr, 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED || mprotect(at, size, PROT_READ | PROT_WRITE) != 0) return nullptr;
  return madvise(at, size, advice) == 0 ? static_cast<char*>(at) : nullptr;
}

// Makes memory at `addr` shared, none of it touched; ends the process when that fails.
inline void share(char* addr, uint64_t size) {
  const void* at =
      mmap(addr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  if (at == MAP_FAILED) _exit(1);
}

// Has the kernel put pages that were just faulted in on the LRU lists, where it can act on them: to
// move a page it has to.
inline void settle(pid_t pid, uint64_t addr) {
  void* page = reinterpret_cast<void*>(addr);
  int node = 0;
  ActionCalls().move_pages(pid, std::span(&page, 1), &node, std::span(&node, 1));
}

// Writes to pages [first, last), each its number.
inline void touch(char* at, uint64_t first, uint64_t last) {
  for (uint64_t i = first; i < last; ++i) at[i * kPageSize] = static_cast<char>(i + 1);
}

// A file of the test's own, with `nr_pages` of content that is on disk if the file is.
class ContentFile {
 public:
  explicit ContentFile(uint64_t nr_pages)
      : path_(testing::TempDir() + "/damonfs-content." + std::to_string(getpid())),
        fd_(open(path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)) {
    const std::string content(nr_pages * kPageSize, 'x');
    EXPECT_EQ(write(fd_.get(), content.data(), content.size()),
              static_cast<ssize_t>(content.size()));
    fsync(fd_.get());
  }
  ~ContentFile() { unlink(path_.c_str()); }
  ContentFile(const ContentFile&) = delete;
  ContentFile& operator=(const ContentFile&) = delete;

  [[nodiscard]] int fd() const { return fd_.get(); }
  // Whether its pages can be thrown out of memory.
  [[nodiscard]] bool on_disk() const {
    struct statfs system {};
    return fstatfs(fd_.get(), &system) == 0 && system.f_type != TMPFS_MAGIC &&
           system.f_type != OVERLAYFS_SUPER_MAGIC;
  }
  // Throws pages out that nobody has mapped.
  void drop() const { posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_DONTNEED); }

 private:
  std::string path_;
  Fd fd_;
};

// A scheme and the regions of one target that it is applied to.
class Work {
 public:
  explicit Work(Action action, std::shared_ptr<TargetHandle> handle)
      : target_(std::make_unique<Target>(pool_, std::move(handle))) {
    scheme.params.action = action;
  }
  void add(AddrRange range) { target_->add_region(range); }

  // Hands all regions to `actions` (anything with apply()).
  template <class Actions>
  void apply(Actions& actions) {
    done.clear();
    for (Region& region : target_->regions()) {
      done.push_back({.target = target_.get(),
                      .region = &region,
                      .ask_ops_filters = ask_ops_filters,
                      .sz_applied = 1,  // to be overwritten
                      .sz_filter_passed = 1});
    }
    actions.apply(scheme, done);
  }
  // Pages applied in each region; bytes that are no whole page show as a fraction.
  [[nodiscard]] std::vector<double> applied() const {
    std::vector<double> pages;
    for (const Application& piece : done) pages.push_back(in_pages(piece.sz_applied));
    return pages;
  }
  [[nodiscard]] std::vector<double> passed() const {
    std::vector<double> pages;
    for (const Application& piece : done) pages.push_back(in_pages(piece.sz_filter_passed));
    return pages;
  }

  Scheme scheme;
  bool ask_ops_filters = true;
  std::vector<Application> done;

 private:
  static double in_pages(uint64_t size) {
    return static_cast<double>(size) / static_cast<double>(kPageSize);
  }

  RegionPool pool_;
  std::unique_ptr<Target> target_;
};

// Keeps what is logged while it lives.
class LogCapture {
 public:
  LogCapture() : before_(spdlog::default_logger()) {
    spdlog::set_default_logger(std::make_shared<spdlog::logger>(
        "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(text_)));
    spdlog::set_pattern("%l: %v");
  }
  ~LogCapture() { spdlog::set_default_logger(before_); }
  LogCapture(const LogCapture&) = delete;
  LogCapture& operator=(const LogCapture&) = delete;

  [[nodiscard]] std::vector<std::string> lines() const {
    std::vector<std::string> lines;
    std::istringstream text(text_.str());
    for (std::string line; std::getline(text, line);) lines.push_back(line);
    return lines;
  }

 private:
  std::ostringstream text_;
  std::shared_ptr<spdlog::logger> before_;
};

}  // namespace damonfs
