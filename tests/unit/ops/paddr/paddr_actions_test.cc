// Schemes on physical memory of a machine that is made up: two processes, some page cache, frames
// of the kernel. No real page is touched.
#include "ops/paddr/paddr_actions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "tests/unit/ops/paddr/paddr_actions_fixture.h"

namespace damonfs {
namespace {

using namespace frame_flags;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

TEST_F(PaddrActionsTest, PageoutTakesMappedPagesOfItsRegions) {
  const Done done = apply_pages(make(), Action::pageout, {{0, 1002}, {1005, 1006}, {1008, 2000}});
  EXPECT_THAT(done.applied, ElementsAre(2, 1, 2));
  EXPECT_THAT(done.passed, ElementsAre(2, 1, 2)) << "frames of nobody are not counted";
  EXPECT_EQ(memory_.mapcount(1000) + memory_.mapcount(1001) + memory_.mapcount(1005), 0U);
  EXPECT_EQ(memory_.mapcount(1002), 1U);
  EXPECT_THAT(log_.lines(), IsEmpty());
}

TEST_F(PaddrActionsTest, SizesAreInUnitsOfAddress) {
  const Done done = apply(make(), Action::pageout, {{1000, 1004}}, 1024);
  EXPECT_THAT(done.applied, ElementsAre(4 * kPageSize / 1024));
  EXPECT_THAT(done.passed, ElementsAre(4 * kPageSize / 1024));
}

TEST_F(PaddrActionsTest, NoMemoryNoWork) {
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

// Where memory is was known before, and which processes map it.
TEST_F(PaddrActionsTest, MemoryThatIsUnpluggedHasNothingDone) {
  memory_.write("proc/iomem", "003e8000-003f1fff : System RAM\n");  // frames 1000 to 1009
  auto& actions = make();
  EXPECT_THAT(apply_pages(actions, Action::pageout, {{1000, 1001}}).applied, ElementsAre(1));
  const int before = calls_->nr_calls;
  memory_.write("proc/iomem", "003e8000-003e9fff : System RAM\n");
  std::filesystem::resize_file(memory_.path("proc/kpageflags"), 1002 * 8);
  for (const Action action : {Action::lru_prio, Action::migrate_cold, Action::pageout}) {
    scheme_.params.target_nid = 1;
    const Done done = apply_pages(actions, action, {{1002, 1006}, {1006, 2000}});
    EXPECT_THAT(done.applied, ElementsAre(0, 0));
    EXPECT_THAT(done.passed, ElementsAre(0, 0));
  }
  EXPECT_EQ(calls_->nr_calls, before);
  EXPECT_THAT(apply_pages(actions, Action::pageout, {{1000, 2000}}).applied, ElementsAre(1));
  actions.forget_memory();
  EXPECT_THAT(apply_pages(actions, Action::pageout, {{1000, 2000}}).applied, ElementsAre(0));
  EXPECT_EQ(memory_.mapcount(1002), 1U);
  EXPECT_THAT(log_.lines(), IsEmpty());
}

// By mlock(2): the kernel refuses the advice for all of the mapping.
TEST_F(PaddrActionsTest, LockedMemoryIsTriedNotAppliedAndNotSpunOn) {
  memory_.write(TempTree::of_process(memory_.pid(0), "maps"),
                "10000000-10003000 rw-p 00000000 00:00 0\n"
                "10003000-10020000 rw-p 00000000 00:00 0\n");
  auto& actions = make();
  for (uint64_t frame = 1003; frame < 1010; ++frame) calls_->locked.insert(frame);
  // Every other frame, so that they cannot be advised as one range.
  const RangeList regions{{1000, 1001}, {1002, 1003}, {1004, 1005}, {1006, 1007}, {1008, 1009}};
  const Done done = apply_pages(actions, Action::pageout, regions);
  EXPECT_THAT(done.applied, ElementsAre(1, 1, 0, 0, 0));
  EXPECT_THAT(done.passed, Each(1)) << "tried";
  EXPECT_LE(calls_->nr_calls, 3) << "what can be, the locked mapping, whether the advice is known";
  EXPECT_EQ(memory_.mapcount(1004), 1U);
  calls_->nr_calls = 0;
  EXPECT_THAT(apply_pages(actions, Action::pageout, regions).applied, Each(0));
  EXPECT_LE(calls_->nr_calls, 2);
  EXPECT_THAT(log_.lines(), IsEmpty());
}

TEST_F(PaddrActionsTest, AHugePageIsOneAndGoesWithItsFirstFrame) {
  add_huge(1024, kAt + 0x200000);
  auto& actions = make();
  EXPECT_THAT(apply_pages(actions, Action::pageout, {{1025, 1600}}).applied, ElementsAre(0));
  EXPECT_EQ(memory_.mapcount(1025), 1U);
  const Done done = apply_pages(actions, Action::pageout, {{1020, 1030}, {1030, 1600}});
  EXPECT_THAT(done.applied, ElementsAre(512, 0));
  EXPECT_EQ(memory_.mapcount(1535), 0U);
}

TEST_F(PaddrActionsTest, SharedPagesAreTriedAndNotApplied) {
  const size_t other = memory_.add_process();
  memory_.map(other, kAt + 0x50000, 1003, 2);
  auto& actions = make();
  EXPECT_THAT(apply_pages(actions, Action::pageout, {{1000, 1010}}).applied, ElementsAre(8));
  EXPECT_EQ(memory_.mapcount(1003), 2U);
  EXPECT_TRUE(calls_->advised.contains({memory_.pid(other), kAt + 0x50000})) << "all are asked";
  // Advice is taken for them, and nothing done.
  EXPECT_THAT(apply_pages(actions, Action::lru_deprio, {{1003, 1004}}).applied, ElementsAre(0));
}

TEST_F(PaddrActionsTest, PagesOfASparedProcessAreLeftAlone) {
  const size_t protected_one = memory_.add_process(true);
  memory_.map(protected_one, kAt, 1020, 4);
  memory_.map(protected_one, kAt + 0x50000, 1009);
  for (uint64_t frame = 1020; frame < 1024; ++frame) own(frame);
  auto& actions = make();
  for (const Action action : {Action::lru_prio, Action::lru_deprio, Action::migrate_cold}) {
    scheme_.params.target_nid = 1;
    EXPECT_THAT(apply_pages(actions, action, {{1009, 1024}}).applied, ElementsAre(0));
  }
  EXPECT_THAT(apply_pages(actions, Action::pageout, {{1000, 1024}}).applied, ElementsAre(9));
  EXPECT_EQ(memory_.mapcount(1009), 2U);
  EXPECT_EQ(memory_.mapcount(1020), 1U);
  for (const auto& [pid, addr] : calls_->advised) EXPECT_NE(pid, memory_.pid(protected_one));
  EXPECT_THAT(calls_->touched, IsEmpty());
}

TEST_F(PaddrActionsTest, UnmappedPageCacheIsNotAppliedAndSaidOnce) {
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
TEST_F(PaddrActionsTest, WhatChangedSinceTheScanIsLeftAlone) {
  auto& actions = make();
  keeper_->refresh();
  ASSERT_TRUE(keeper_->wait(std::chrono::seconds(10)));
  memory_.set_frame(0, kAt + 1 * kPageSize, 7000);
  memory_.set_frame(0, kAt + 2 * kPageSize, 0);
  EXPECT_THAT(apply_pages(actions, Action::pageout, {{1000, 1010}}).applied, ElementsAre(8));
  EXPECT_EQ(memory_.frame_at(memory_.pid(0), kAt + kPageSize), 7000U);
  EXPECT_FALSE(calls_->advised.contains({memory_.pid(0), kAt + kPageSize}));
}

TEST_F(PaddrActionsTest, AProcessThatIsGoneHasNothingDone) {
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

TEST_F(PaddrActionsTest, WhatAProcessGivesBackAtItsEndIsNotPagedOut) {
  auto& actions = make();
  calls_->ends_when_advised = true;
  EXPECT_THAT(apply_pages(actions, Action::pageout, {{1000, 1010}}).applied, ElementsAre(0));
}

TEST_F(PaddrActionsTest, AFullSwapIsCountedAndNotSpunOn) {
  auto& actions = make();
  calls_->swap_left = 3;
  EXPECT_THAT(apply_pages(actions, Action::pageout, {{1000, 1010}}).applied, ElementsAre(3));
  const int before = calls_->nr_calls;
  EXPECT_THAT(apply_pages(actions, Action::pageout, {{1000, 1010}}).applied, ElementsAre(0));
  EXPECT_LE(calls_->nr_calls - before, 2);
}

TEST_F(PaddrActionsTest, DeprioCountsWhatTookTheAdvice) {
  EXPECT_THAT(apply_pages(make(), Action::lru_deprio, {{1000, 1004}, {1004, 1005}}).applied,
              ElementsAre(4, 1));
  EXPECT_THAT(calls_->advised, SizeIs(5));
}

TEST_F(PaddrActionsTest, PrioMarksEachFolioTwice) {
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
TEST_F(PaddrActionsTest, AProcessWithoutMemoryIsAskedOnce) {
  auto& actions = make();
  calls_->without_memory = {memory_.pid(0)};
  EXPECT_THAT(apply_pages(actions, Action::lru_prio, {{1000, 1010}}).applied, ElementsAre(0));
  EXPECT_EQ(calls_->nr_calls, 1);
  EXPECT_THAT(log_.lines(), IsEmpty());
}

TEST_F(PaddrActionsTest, MigrationMovesSharedPagesOnce) {
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

TEST_F(PaddrActionsTest, DryRunChangesNothing) {
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

TEST_F(PaddrActionsTest, OtherActionsAreTriedNotAppliedAndSaidOnce) {
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
class PaddrFiltersTest : public PaddrActionsTest {
 protected:
  PaddrFiltersTest() {
    add_huge(1024, kAt + 0x200000);
    memory_.set_flags(1600, kLru);
  }
  uint64_t passing(std::vector<Filter> ops) {
    scheme_.params.filters.ops = std::move(ops);
    return apply_pages(make(), Action::stat, {{1000, 1700}}).passed[0];
  }
};

TEST_F(PaddrFiltersTest, EachKind) {
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

TEST_F(PaddrFiltersTest, TheFirstThatMatchesDecides) {
  own(1004, kActive);
  EXPECT_EQ(
      passing({filter(FilterType::active, true, true), filter(FilterType::anon, true, false)}), 2U);
  EXPECT_EQ(
      passing({filter(FilterType::anon, true, false), filter(FilterType::active, true, true)}), 0U);
}

TEST_F(PaddrFiltersTest, MemoryCgroups) {
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

TEST_F(PaddrFiltersTest, OnlyWhatPassesIsActedOn) {
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
