// A machine that is made up, with frames of memory and processes that map them, and schemes on its
// physical memory. No real page is touched.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <map>
#include <memory>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "ops/paddr/paddr_actions.h"
#include "tests/unit/ops/child.h"
#include "tests/unit/ops/rmap/fake_page_tables.h"
#include "tests/unit/ops/vaddr/vaddr_actions_fixtures.h"

namespace damonfs {

// Frames with flags, and processes that map them; what the kernel's calls do to them.
class FakeMemory : public FakeSystem {
 public:
  FakeMemory() {
    write("sys/devices/system/node/has_memory", "0-1\n");
    set_flags(100000, 0);  // the last frame there is
  }
  // Number of a new process.
  size_t add_process(bool is_protected = false) {
    children_.push_back(std::make_unique<Child>());
    const pid_t pid = children_.back()->pid();
    write(of_process(pid, "pagemap"), "");
    write(of_process(pid, "maps"), "10000000-20000000 rw-p 00000000 00:00 0\n");
    auto& shown = world->processes[pid];
    shown.process = {Process::open(pid, paths()).value(), is_protected};
    shown.reads.resize(1);
    return children_.size() - 1;
  }
  // Has the process `number` map frames, side by side from `addr` on.
  void map(size_t number, uint64_t addr, uint64_t frame, uint64_t nr_pages = 1) {
    world->processes[pid(number)].reads[0].push_back({addr, frame, nr_pages});
    for (uint64_t i = 0; i < nr_pages; ++i) set_frame(number, addr + i * kPageSize, frame + i);
  }
  // What its page table has by now; the scan has seen something else.
  void set_frame(size_t number, uint64_t addr, uint64_t frame) { remap(pid(number), addr, frame); }
  void remap(pid_t pid, uint64_t addr, uint64_t frame) {
    put_number(of_process(pid, "pagemap"), addr / kPageSize, frame == 0 ? 0 : kPresent | frame);
    frames_[{pid, addr}] = frame;
  }
  uint64_t frame_at(pid_t pid, uint64_t addr) const {
    const auto found = frames_.find({pid, addr});
    return found == frames_.end() ? 0 : found->second;
  }
  // How many mappings there are of a frame.
  uint64_t mapcount(uint64_t frame) const {
    return static_cast<uint64_t>(
        std::count_if(frames_.begin(), frames_.end(),
                      [=](const auto& mapping) { return mapping.second == frame; }));
  }
  [[nodiscard]] pid_t pid(size_t number) const { return children_[number]->pid(); }
  [[nodiscard]] pid_t pid_of(int pidfd) const {
    for (const auto& [pid, shown] : world->processes) {
      if (shown.process.process->pidfd() == pidfd) return pid;
    }
    return 0;
  }
  // As a process does that is ending, and then a zombie.
  void give_back(pid_t pid) const {
    for (const char* name : {"maps", "pagemap"}) write(of_process(pid, name), "");
  }
  void end_process(size_t number) {
    children_[number]->kill();
    children_[number]->reap();
  }

  const std::shared_ptr<FakeRmapSource::World> world = std::make_shared<FakeRmapSource::World>();

 private:
  std::vector<std::unique_ptr<Child>> children_;
  std::map<std::pair<pid_t, uint64_t>, uint64_t> frames_;  // by process and address; 0 for none
};

// Calls that do to a FakeMemory what the kernel does: shared pages are not paged out.
class MemoryCalls final : public ActionCalls {
 public:
  explicit MemoryCalls(FakeMemory& memory) : memory_(memory) {}

  int64_t advise(int pidfd, std::span<const iovec> ranges, int advice) override {
    ++nr_calls;
    int64_t done = 0;
    const pid_t pid = memory_.pid_of(pidfd);
    if (ends_when_advised) {
      memory_.give_back(pid);
      return -ESRCH;
    }
    for (const iovec& range : ranges) {
      const auto start = std::bit_cast<uint64_t>(range.iov_base);
      if (locked.contains(memory_.frame_at(pid, start))) return done > 0 ? done : -EINVAL;
      for (uint64_t addr = start; addr < start + range.iov_len; addr += kPageSize) {
        advised.emplace(pid, addr);
        const uint64_t frame = memory_.frame_at(pid, addr);
        if (advice == MADV_PAGEOUT && swap_left > 0 && memory_.mapcount(frame) == 1) {
          memory_.remap(pid, addr, 0);
          --swap_left;
        }
      }
      done += static_cast<int64_t>(range.iov_len);
    }
    return done;
  }
  int64_t move_pages(pid_t pid, std::span<void*> pages, const int* to,
                     std::span<int> status) override {
    ++nr_calls;
    for (size_t i = 0; i < pages.size(); ++i) {
      int& node = nodes[memory_.frame_at(pid, std::bit_cast<uint64_t>(pages[i]))];
      if (to != nullptr) node = to[i];
      status[i] = node;
    }
    return 0;
  }
  int64_t touch(pid_t pid, std::span<const iovec> bytes) override {
    ++nr_calls;
    if (without_memory.contains(pid)) return -ESRCH;
    int64_t read = 0;
    for (const iovec& byte : bytes) {
      const uint64_t frame = memory_.frame_at(pid, std::bit_cast<uint64_t>(byte.iov_base));
      if (unreadable.contains(frame)) return read > 0 ? read : -EFAULT;
      ++touched[frame];
      ++read;
    }
    return read;
  }

  std::set<std::pair<pid_t, uint64_t>> advised;
  std::map<uint64_t, int> nodes;    // of frames
  std::map<uint64_t, int> touched;  // how often, by frame
  std::set<uint64_t> unreadable;
  std::set<pid_t> without_memory;
  std::set<uint64_t> locked;  // frames that take no advice
  bool ends_when_advised = false;
  uint64_t swap_left = UINT64_MAX;
  int nr_calls = 0;

 private:
  FakeMemory& memory_;
};

class YoungBits final : public PaddrBackend {
 public:
  void look(std::span<FrameSample> /*samples*/) override {}
  void prepare(std::span<FrameSample>) override {}
  void check(std::span<FrameSample>) override {}
  void young(std::span<const Folio> folios, std::span<bool> young) override {
    for (size_t i = 0; i < folios.size(); ++i) young[i] = young_heads.contains(folios[i].head);
  }
  bool needs_map() const override { return false; }
  std::set<uint64_t> young_heads;
};

inline constexpr uint64_t kAt = 0x10000000;

// Process 0: frames 1000 to 1009, of their own; a huge page in 1024 to 1535.
class PaddrActionsTest : public testing::Test {
 protected:
  PaddrActionsTest() {
    memory_.add_process();
    memory_.map(0, kAt, 1000, 10);
    for (uint64_t frame = 1000; frame < 1010; ++frame) own(frame);
  }
  void own(uint64_t frame, uint64_t more = 0) const {
    memory_.set_flags(frame, frame_flags::kLru | frame_flags::kMapped | frame_flags::kAnon | more);
  }
  void add_huge(uint64_t head, uint64_t addr) {
    memory_.map(0, addr, head, 512);
    own(head, frame_flags::kCompoundHead);
    for (uint64_t i = 1; i < 512; ++i) memory_.set_flags(head + i, frame_flags::kCompoundTail);
  }
  PaddrActions& make(bool dry_run = false) {
    auto calls = std::make_unique<MemoryCalls>(memory_);
    calls_ = calls.get();
    keeper_ = *RmapRefresher::create(std::make_unique<FakeRmapSource>(memory_.world), 10000);
    actions_ = std::make_unique<PaddrActions>(
        memory_.paths(), *keeper_, bits_, PaddrActionOptions{.dry_run = dry_run}, std::move(calls));
    return *actions_;
  }
  // Does the work's regions, given in frames, in bytes of `unit`.
  struct Done {
    std::vector<uint64_t> applied;  // in units
    std::vector<uint64_t> passed;
  };
  Done apply(PaddrActions& actions, Action action, const RangeList& frames, uint64_t unit = 1) {
    RegionPool pool;
    Target target(pool, nullptr);
    scheme_.params.action = action;
    std::vector<Application> work;
    for (const AddrRange& range : frames) {
      Region& region =
          target.add_region({range.start * kPageSize / unit, range.end * kPageSize / unit});
      work.push_back(
          {.target = &target, .region = &region, .sz_applied = 1, .sz_filter_passed = 1});
    }
    for (Application& piece : work) piece.ask_ops_filters = ask_ops_filters_;
    actions.apply(scheme_, work, unit);
    Done done;
    for (const Application& piece : work) {
      done.applied.push_back(piece.sz_applied);
      done.passed.push_back(piece.sz_filter_passed);
    }
    return done;
  }
  // The same in pages.
  Done apply_pages(PaddrActions& actions, Action action, const RangeList& frames) {
    Done done = apply(actions, action, frames);
    for (auto* list : {&done.applied, &done.passed}) {
      for (uint64_t& size : *list) size /= kPageSize;
    }
    return done;
  }

  LogCapture log_;
  FakeMemory memory_;
  YoungBits bits_;
  MemoryCalls* calls_ = nullptr;
  std::unique_ptr<RmapRefresher> keeper_;
  std::unique_ptr<PaddrActions> actions_;
  Scheme scheme_;
  bool ask_ops_filters_ = true;
};

}  // namespace damonfs
