// Schemes on physical memory of a machine that is made up: two processes, some page cache, frames
// of the kernel. No real page is touched.
#include "ops/frame_actions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <bit>
#include <map>
#include <set>

#include "tests/unit/ops/action_fixtures.h"
#include "tests/unit/ops/child.h"
#include "tests/unit/ops/fake_page_tables.h"

namespace damonfs {
namespace {

using namespace frame_flags;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

// Frames with flags, and processes that map them; what the kernel's calls do to them.
class FakeMemory : public FakeSystem {
 public:
  FakeMemory() {
    write("sys/devices/system/node/has_memory", "0-1\n");
    set_flags(100000, 0);  // the last frame there is
  }
  // Number of a new process.
  size_t add_process(bool spared = false) {
    children_.push_back(std::make_unique<Child>());
    const pid_t pid = children_.back()->pid();
    write(of_process(pid, "pagemap"), "");
    write(of_process(pid, "maps"), "10000000-20000000 rw-p 00000000 00:00 0\n");
    auto& shown = world->processes[pid];
    shown.process = {Process::open(pid, paths()).value(), spared};
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

  const std::shared_ptr<FakePageTables::World> world = std::make_shared<FakePageTables::World>();

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
  bool ends_when_advised = false;
  uint64_t swap_left = UINT64_MAX;
  int nr_calls = 0;

 private:
  FakeMemory& memory_;
};

class YoungBits final : public PhysicalBits {
 public:
  void look(std::span<FrameSample> /*samples*/) override {}
  void prepare(std::span<FrameSample>) override {}
  void check(std::span<FrameSample>) override {}
  void young(std::span<const Folio> folios, std::span<bool> young) override {
    for (size_t i = 0; i < folios.size(); ++i) young[i] = young_heads.contains(folios[i].head);
  }
  bool needs_map() const override { return false; }
  std::string_view name() const override { return "fake"; }
  std::set<uint64_t> young_heads;
};

constexpr uint64_t kAt = 0x10000000;

// Process 0: frames 1000 to 1009, of their own; a huge page in 1024 to 1535.
class FrameActionsTest : public testing::Test {
 protected:
  FrameActionsTest() {
    memory_.add_process();
    memory_.map(0, kAt, 1000, 10);
    for (uint64_t frame = 1000; frame < 1010; ++frame) own(frame);
  }
  void own(uint64_t frame, uint64_t more = 0) const {
    memory_.set_flags(frame, kLru | kMapped | kAnon | more);
  }
  void add_huge(uint64_t head, uint64_t addr) {
    memory_.map(0, addr, head, 512);
    own(head, kCompoundHead);
    for (uint64_t i = 1; i < 512; ++i) memory_.set_flags(head + i, kCompoundTail);
  }
  PhysicalActions& make(bool dry_run = false) {
    auto calls = std::make_unique<MemoryCalls>(memory_);
    calls_ = calls.get();
    keeper_ =
        std::make_unique<ReverseMapKeeper>(std::make_unique<FakePageTables>(memory_.world), 10000);
    actions_ = std::make_unique<PhysicalActions>(
        memory_.paths(), *keeper_, bits_, FrameActionOptions{.dry_run = dry_run}, std::move(calls));
    return *actions_;
  }
  // Does the work's regions, given in frames, in bytes of `unit`.
  struct Done {
    std::vector<uint64_t> applied;  // in units
    std::vector<uint64_t> passed;
  };
  Done apply(PhysicalActions& actions, Action action, const RangeList& frames, uint64_t unit = 1) {
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
  Done apply_pages(PhysicalActions& actions, Action action, const RangeList& frames) {
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
  std::unique_ptr<ReverseMapKeeper> keeper_;
  std::unique_ptr<PhysicalActions> actions_;
  Scheme scheme_;
  bool ask_ops_filters_ = true;
};

TEST_F(FrameActionsTest, PageoutTakesMappedPagesOfItsRegions) {
  const Done done = apply_pages(make(), Action::pageout, {{0, 1002}, {1005, 1006}, {1008, 2000}});
  EXPECT_THAT(done.applied, ElementsAre(2, 1, 2));
  EXPECT_THAT(done.passed, ElementsAre(2, 1, 2)) << "frames of nobody are not counted";
  EXPECT_EQ(memory_.mapcount(1000) + memory_.mapcount(1001) + memory_.mapcount(1005), 0U);
  EXPECT_EQ(memory_.mapcount(1002), 1U);
  EXPECT_THAT(log_.lines(), IsEmpty());
}

TEST_F(FrameActionsTest, SizesAreInUnitsOfAddress) {
  const Done done = apply(make(), Action::pageout, {{1000, 1004}}, 1024);
  EXPECT_THAT(done.applied, ElementsAre(4 * kPageSize / 1024));
  EXPECT_THAT(done.passed, ElementsAre(4 * kPageSize / 1024));
}

TEST_F(FrameActionsTest, NoMemoryNoWork) {
  memory_.write("proc/iomem", "003e8000-003e9fff : System RAM\n");  // frames 1000 and 1001
  auto& actions = make();
  const uint64_t top = UINT64_MAX / kPageSize;
  const Done done = apply_pages(actions, Action::pageout, {{0, 500}, {500, 1500}, {5000, top}});
  EXPECT_THAT(done.applied, ElementsAre(0, 2, 0)) << "what is no RAM is accepted and has nothing";
  memory_.write("proc/iomem", "003e8000-003ebfff : System RAM\n");  // two more were plugged in
  EXPECT_THAT(apply_pages(actions, Action::pageout, {{500, 1500}}).applied, ElementsAre(0));
  actions.forget_memory();
  EXPECT_THAT(apply_pages(actions, Action::pageout, {{500, 1500}}).applied, ElementsAre(2));
}

TEST_F(FrameActionsTest, AHugePageIsOneAndGoesWithItsFirstFrame) {
  add_huge(1024, kAt + 0x200000);
  auto& actions = make();
  EXPECT_THAT(apply_pages(actions, Action::pageout, {{1025, 1600}}).applied, ElementsAre(0));
  EXPECT_EQ(memory_.mapcount(1025), 1U);
  const Done done = apply_pages(actions, Action::pageout, {{1020, 1030}, {1030, 1600}});
  EXPECT_THAT(done.applied, ElementsAre(512, 0));
  EXPECT_EQ(memory_.mapcount(1535), 0U);
}

TEST_F(FrameActionsTest, SharedPagesAreTriedAndNotApplied) {
  const size_t other = memory_.add_process();
  memory_.map(other, kAt + 0x50000, 1003, 2);
  auto& actions = make();
  EXPECT_THAT(apply_pages(actions, Action::pageout, {{1000, 1010}}).applied, ElementsAre(8));
  EXPECT_EQ(memory_.mapcount(1003), 2U);
  EXPECT_TRUE(calls_->advised.contains({memory_.pid(other), kAt + 0x50000})) << "all are asked";
  // Advice is taken for them, and nothing done.
  EXPECT_THAT(apply_pages(actions, Action::lru_deprio, {{1003, 1004}}).applied, ElementsAre(0));
}

TEST_F(FrameActionsTest, PagesOfASparedProcessAreLeftAlone) {
  const size_t spared = memory_.add_process(true);
  memory_.map(spared, kAt, 1020, 4);
  memory_.map(spared, kAt + 0x50000, 1009);
  for (uint64_t frame = 1020; frame < 1024; ++frame) own(frame);
  auto& actions = make();
  for (const Action action : {Action::lru_prio, Action::lru_deprio, Action::migrate_cold}) {
    scheme_.params.target_nid = 1;
    EXPECT_THAT(apply_pages(actions, action, {{1009, 1024}}).applied, ElementsAre(0));
  }
  EXPECT_THAT(apply_pages(actions, Action::pageout, {{1000, 1024}}).applied, ElementsAre(9));
  EXPECT_EQ(memory_.mapcount(1009), 2U);
  EXPECT_EQ(memory_.mapcount(1020), 1U);
  for (const auto& [pid, addr] : calls_->advised) EXPECT_NE(pid, memory_.pid(spared));
  EXPECT_THAT(calls_->touched, IsEmpty());
}

TEST_F(FrameActionsTest, UnmappedPageCacheIsNotAppliedAndSaidOnce) {
  memory_.set_flags(1100, kLru);
  memory_.set_flags(1101, kLru);
  auto& actions = make();
  const Done done = apply_pages(actions, Action::pageout, {{1090, 1110}});
  EXPECT_THAT(done.applied, ElementsAre(0));
  EXPECT_THAT(done.passed, ElementsAre(2));
  apply_pages(actions, Action::lru_prio, {{1090, 1110}});
  EXPECT_THAT(log_.lines(), ElementsAre(HasSubstr("page cache that no process maps")));
}

// Between the scan and the action: frame 1001 was given away, 1002 freed.
TEST_F(FrameActionsTest, WhatChangedSinceTheScanIsLeftAlone) {
  auto& actions = make();
  keeper_->refresh();
  ASSERT_TRUE(keeper_->wait(std::chrono::seconds(10)));
  memory_.set_frame(0, kAt + 1 * kPageSize, 7000);
  memory_.set_frame(0, kAt + 2 * kPageSize, 0);
  EXPECT_THAT(apply_pages(actions, Action::pageout, {{1000, 1010}}).applied, ElementsAre(8));
  EXPECT_EQ(memory_.frame_at(memory_.pid(0), kAt + kPageSize), 7000U);
  EXPECT_FALSE(calls_->advised.contains({memory_.pid(0), kAt + kPageSize}));
}

TEST_F(FrameActionsTest, AProcessThatIsGoneHasNothingDone) {
  auto& actions = make();
  keeper_->refresh();
  ASSERT_TRUE(keeper_->wait(std::chrono::seconds(10)));
  memory_.end_process(0);
  for (const Action action : {Action::lru_prio, Action::migrate_hot, Action::pageout}) {
    scheme_.params.target_nid = 1;
    EXPECT_THAT(apply_pages(actions, action, {{1000, 1010}}).applied, ElementsAre(0));
  }
  EXPECT_THAT(log_.lines(), IsEmpty());
}

TEST_F(FrameActionsTest, WhatAProcessGivesBackAtItsEndIsNotPagedOut) {
  auto& actions = make();
  calls_->ends_when_advised = true;
  EXPECT_THAT(apply_pages(actions, Action::pageout, {{1000, 1010}}).applied, ElementsAre(0));
}

TEST_F(FrameActionsTest, AFullSwapIsCountedAndNotSpunOn) {
  auto& actions = make();
  calls_->swap_left = 3;
  EXPECT_THAT(apply_pages(actions, Action::pageout, {{1000, 1010}}).applied, ElementsAre(3));
  const int before = calls_->nr_calls;
  EXPECT_THAT(apply_pages(actions, Action::pageout, {{1000, 1010}}).applied, ElementsAre(0));
  EXPECT_LE(calls_->nr_calls - before, 2);
}

TEST_F(FrameActionsTest, DeprioCountsWhatTookTheAdvice) {
  EXPECT_THAT(apply_pages(make(), Action::lru_deprio, {{1000, 1004}, {1004, 1005}}).applied,
              ElementsAre(4, 1));
  EXPECT_THAT(calls_->advised, SizeIs(5));
}

TEST_F(FrameActionsTest, PrioMarksEachFolioTwice) {
  add_huge(1024, kAt + 0x200000);
  const size_t other = memory_.add_process();
  memory_.map(other, kAt + 0x50000, 1003);
  auto& actions = make();
  calls_->unreadable = {1005};
  const Done done = apply_pages(actions, Action::lru_prio, {{1000, 1010}, {1024, 1100}});
  EXPECT_THAT(done.applied, ElementsAre(9, 512));
  EXPECT_EQ(calls_->touched[1000], 2);
  EXPECT_EQ(calls_->touched[1003], 2) << "through one of its mappings";
  EXPECT_EQ(calls_->touched[1009], 2);
  EXPECT_EQ(calls_->touched[1024], 2);
  EXPECT_FALSE(calls_->touched.contains(1025));
}

// One that is ending, say: it exists, and has no memory any more.
TEST_F(FrameActionsTest, AProcessWithoutMemoryIsAskedOnce) {
  auto& actions = make();
  calls_->without_memory = {memory_.pid(0)};
  EXPECT_THAT(apply_pages(actions, Action::lru_prio, {{1000, 1010}}).applied, ElementsAre(0));
  EXPECT_EQ(calls_->nr_calls, 1);
  EXPECT_THAT(log_.lines(), IsEmpty());
}

TEST_F(FrameActionsTest, MigrationMovesSharedPagesOnce) {
  const size_t other = memory_.add_process();
  memory_.map(other, kAt + 0x50000, 1003);
  scheme_.params.target_nid = 1;
  scheme_.params.dests = {{.id = 0, .weight = 1}};  // of virtual addresses only
  auto& actions = make();
  calls_->nodes[1001] = 1;
  EXPECT_THAT(apply_pages(actions, Action::migrate_hot, {{1000, 1005}}).applied, ElementsAre(4));
  EXPECT_EQ(calls_->nodes[1003], 1);
  EXPECT_EQ(calls_->nodes[1005], 0);
}

TEST_F(FrameActionsTest, DryRunChangesNothing) {
  auto& actions = make(true);
  for (const Action action : {Action::pageout, Action::lru_prio, Action::lru_deprio}) {
    EXPECT_THAT(apply_pages(actions, action, {{1000, 1010}}).applied, ElementsAre(10));
  }
  EXPECT_EQ(calls_->nr_calls, 0);
  EXPECT_EQ(memory_.mapcount(1000), 1U);
  memory_.map(memory_.add_process(), kAt, 1003, 2);
  auto& again = make(true);
  EXPECT_THAT(apply_pages(again, Action::pageout, {{1000, 1010}}).applied, ElementsAre(8));
}

TEST_F(FrameActionsTest, OtherActionsAreTriedNotAppliedAndSaidOnce) {
  auto& actions = make();
  for (const Action action : {Action::willneed, Action::cold, Action::hugepage, Action::nohugepage,
                              Action::collapse, Action::willneed}) {
    const Done done = apply_pages(actions, action, {{1000, 1010}});
    EXPECT_THAT(done.applied, ElementsAre(0));
    EXPECT_THAT(done.passed, ElementsAre(0));
  }
  EXPECT_THAT(log_.lines(), SizeIs(5));
  EXPECT_EQ(calls_->nr_calls, 0);
  EXPECT_THAT(apply_pages(actions, Action::stat, {{1000, 1010}}).passed, ElementsAre(0));
}

// Frames that pass, of 1000 to 1009, a huge page at 1024 and page cache at 1600.
class FrameFiltersTest : public FrameActionsTest {
 protected:
  FrameFiltersTest() {
    add_huge(1024, kAt + 0x200000);
    memory_.set_flags(1600, kLru);
  }
  uint64_t passing(std::vector<Filter> ops) {
    scheme_.params.filters.ops = std::move(ops);
    return apply_pages(make(), Action::stat, {{1000, 1700}}).passed[0];
  }
};

TEST_F(FrameFiltersTest, EachKind) {
  own(1004, kActive);
  memory_.set_flags(1005, kLru | kMapped);
  bits_.young_heads = {1000, 1024};
  EXPECT_EQ(passing({filter(FilterType::anon, true, false)}), 2U);
  EXPECT_EQ(passing({filter(FilterType::anon, true, true)}), 9U + 512U);
  EXPECT_EQ(passing({filter(FilterType::active, true, true)}), 1U);
  EXPECT_EQ(passing({filter(FilterType::young, true, true)}), 1U + 512U);
  EXPECT_EQ(passing({filter(FilterType::young, true, false)}), 10U);
  EXPECT_EQ(passing({filter(FilterType::unmapped, true, true)}), 1U);
  Filter huge = filter(FilterType::hugepage_size, true, true);
  huge.min_sz = huge.max_sz = kHugePageSize;
  EXPECT_EQ(passing({huge}), 512U);
  EXPECT_EQ(calls_->nr_calls, 0);
}

TEST_F(FrameFiltersTest, TheFirstThatMatchesDecides) {
  own(1004, kActive);
  EXPECT_EQ(
      passing({filter(FilterType::active, true, true), filter(FilterType::anon, true, false)}), 2U);
  EXPECT_EQ(
      passing({filter(FilterType::anon, true, false), filter(FilterType::active, true, true)}), 0U);
}

TEST_F(FrameFiltersTest, MemoryCgroups) {
  memory_.write("cgroup/some/memory.stat", "");
  struct stat status {};
  ASSERT_EQ(::stat(memory_.path("cgroup/some").c_str(), &status), 0);
  Filter some = filter(FilterType::memcg, true, true);
  some.memcg_path = "/some";
  EXPECT_EQ(passing({some}), 0U) << "nothing passes where it cannot be known";
  EXPECT_THAT(log_.lines(), ElementsAre(HasSubstr("kpagecgroup")));
  memory_.put_number("proc/kpagecgroup", 1002, status.st_ino);
  memory_.put_number("proc/kpagecgroup", 1024, status.st_ino);
  EXPECT_EQ(passing({some}), 1U + 512U);
  some.memcg_path = "/gone";
  EXPECT_EQ(passing({some}), 0U);
}

TEST_F(FrameFiltersTest, OnlyWhatPassesIsActedOn) {
  own(1004, kActive);
  scheme_.params.filters.ops = {filter(FilterType::active, true, false)};
  auto& actions = make();
  const Done done = apply_pages(actions, Action::pageout, {{1000, 1010}});
  EXPECT_THAT(done.applied, ElementsAre(9));
  EXPECT_THAT(done.passed, ElementsAre(9));
  EXPECT_EQ(memory_.mapcount(1004), 1U);
  ask_ops_filters_ = false;  // a core filter has let it pass
  EXPECT_THAT(apply_pages(actions, Action::pageout, {{1004, 1005}}).applied, ElementsAre(1));
}

}  // namespace
}  // namespace damonfs
