#include "ops/pte/pte_frame_sweeper.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "tests/unit/ops/pte/pte_paddr_fixture.h"

namespace damonfs {
namespace {

constexpr AddrRange kAllMemory{0, uint64_t{1} << 52};

class PteFrameSweeperTest : public PtePaddrFixture {
 protected:
  // What a sweep of all memory says, ascending. `cost_` is what it cost.
  std::vector<SweptRun> sweep(SweepMode mode = SweepMode::make_old) {
    std::vector<SweptRun> runs;
    cost_ = {};
    clock_.sleep_us(3'000'000, {});  // what clearing may take is a share of the time
    for (uint64_t at = kAllMemory.start; at < kAllMemory.end;) {
      const auto piece = bits_->sweeper()->sweep(nobody_, {at, kAllMemory.end}, mode, runs);
      EXPECT_TRUE(piece) << piece.error().message;
      if (!piece) break;
      EXPECT_TRUE(piece->next > at || runs.empty()) << "nothing is told before all were looked at";
      at = piece->next;
      cost_ += piece->cost;
    }
    return runs;
  }
  // The frames behind `memory` in the child, by page; 0 for what is not there.
  static std::vector<uint64_t> frames_of(const Actor& child, const FreshMemory& memory) {
    std::vector<uint64_t> frames(memory.pages());
    for (const auto& page : pages_of(child, memory))
      frames[(page.addr - memory.addr(0)) / kPageSize] = page.entry.pfn();
    return frames;
  }
  // Which of `frames` are in `state`.
  static std::vector<size_t> in_state(const std::vector<SweptRun>& runs,
                                      const std::vector<uint64_t>& frames, AccessState state) {
    return those(frames.size(), [&](size_t i) {
      const uint64_t addr = frames[i] * kPageSize;
      const auto run = std::partition_point(
          runs.begin(), runs.end(), [addr](const SweptRun& r) { return r.range.end <= addr; });
      if (run != runs.end() && run->range.start > addr) return false;
      return run != runs.end() && run->state == state;
    });
  }
  // Has the child do its first action, makes old what it has touched by that, and watches it; the
  // frames behind `memory`. Fresh pages wait for their place on the LRU lists.
  std::vector<uint64_t> watch_settled(Actor& child, const FreshMemory& memory) {
    child.run(0);
    watch({child.pid()});
    sweep();
    settle(child.pid(), memory.addr(0));
    sweep();
    return frames_of(child, memory);
  }
  // But for the few accesses that the kernel's own DAMON may take away.
  static void expect_nearly(const std::vector<size_t>& found, const std::vector<size_t>& touched) {
    std::vector<size_t> wrong;
    std::set_difference(found.begin(), found.end(), touched.begin(), touched.end(),
                        std::back_inserter(wrong));
    EXPECT_TRUE(wrong.empty()) << wrong.size();
    EXPECT_GE(found.size(), touched.size() - touched.size() / 50 - 1);
  }

  RegionPool pool_;
  Target nobody_{pool_, nullptr};
  SweepCost cost_;
};

bool every_third(size_t i) { return i % 3 == 0; }

TEST_F(PteFrameSweeperTest, FindsTheFramesOfPagesThatWereTouched) {
  const FreshMemory memory(3000);
  Actor child({touch_all(memory), touch(memory, every_third)});
  const auto frames = watch_settled(child, memory);
  for (int round = 0; round < 3; ++round) {
    child.run(1);
    const auto runs = sweep();
    expect_nearly(in_state(runs, frames, AccessState::accessed), those(3000, every_third));
    EXPECT_GE(in_state(runs, frames, AccessState::not_accessed).size(), 2000U - 40);
    EXPECT_GE(cost_.pages_read, 3000U);
    EXPECT_TRUE(in_state(sweep(), frames, AccessState::accessed).empty());
  }
}

TEST_F(PteFrameSweeperTest, ALookLeavesPagesAsTheyAre) {
  const FreshMemory memory(256);
  Actor child({touch_all(memory), touch(memory, every_third)});
  const auto frames = watch_settled(child, memory);
  child.run(1);
  for (int round = 0; round < 2; ++round) {
    expect_nearly(in_state(sweep(SweepMode::look), frames, AccessState::accessed),
                  those(256, every_third));
    EXPECT_EQ(cost_.pages_made_old, 0U);
  }
}

TEST_F(PteFrameSweeperTest, OnlyWhatThePassAsksForIsMadeOld) {
  const FreshMemory memory(512);
  Actor child({touch_all(memory), touch_all(memory)});
  const auto frames = watch_settled(child, memory);
  child.run(1);
  std::vector<SweepWish> wishes;
  for (size_t i = 0; i < 512; i += 2)
    wishes.push_back({&nobody_, {frames[i] * kPageSize, (frames[i] + 1) * kPageSize}});
  bits_->sweeper()->begin_pass(wishes);
  auto runs = sweep();
  const auto even = those(512, [](size_t i) { return i % 2 == 0; });
  const auto odd = those(512, [](size_t i) { return i % 2 != 0; });
  expect_nearly(in_state(runs, frames, AccessState::accessed), even);
  expect_nearly(in_state(runs, frames, AccessState::unknown), odd);
  bits_->sweeper()->begin_pass({{{&nobody_, kAllMemory}}});
  runs = sweep();
  expect_nearly(in_state(runs, frames, AccessState::accessed), odd);
}

TEST_F(PteFrameSweeperTest, TellsOfAccessesThatSamplesHaveFound) {
  const FreshMemory memory(64);
  Actor child({touch_all(memory), touch(memory, every_third)});
  const auto frames = watch_settled(child, memory);
  child.run(1);
  std::vector<FrameSample> samples;
  for (const uint64_t frame : frames) samples.push_back({.frame = frame});
  bits_->prepare(samples);  // makes them old
  expect_nearly(in_state(sweep(), frames, AccessState::accessed), those(64, every_third));
}

TEST_F(PteFrameSweeperTest, AHugePageIsAllItsFrames) {
  const FreshMemory memory(2048);
  ::madvise(memory.data(), memory.size(), MADV_HUGEPAGE);
  Actor child({touch_all(memory), touch(memory, [](size_t i) { return i == 1100; })});
  const auto frames = watch_settled(child, memory);
  const uint64_t huge = kPageSize / 8;
  const size_t head =
      (align_down(memory.addr(1100), huge * kPageSize) - memory.addr(0)) / kPageSize;
  if (frames[head] % huge != 0 || frames[head + huge - 1] != frames[head] + huge - 1)
    GTEST_SKIP() << "the kernel has no huge page to give";
  child.run(1);
  EXPECT_EQ(in_state(sweep(), frames, AccessState::accessed),
            those(2048, [&](size_t i) { return i >= head && i < head + huge; }));
}

TEST_F(PteFrameSweeperTest, AnyMappingOfASharedFrameCounts) {
  const FreshMemory memory(64, MAP_SHARED | MAP_ANONYMOUS);
  Actor one({touch_all(memory), touch(memory, [](size_t i) { return i < 8; })});
  Actor two({touch_all(memory), touch(memory, [](size_t i) { return i >= 56; })});
  one.run(0);
  two.run(0);
  watch({one.pid(), two.pid()});
  const auto frames = frames_of(one, memory);
  const auto touched = those(64, [](size_t i) { return i < 8 || i >= 56; });
  std::vector<size_t> found;
  // They are cleared by clear_refs, which does not flush the TLB and has a budget.
  for (int tries = 0; tries < 50 && found != touched; ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    one.run(1);
    two.run(1);
    found = in_state(sweep(), frames, AccessState::accessed);
  }
  EXPECT_EQ(found, touched);
}

TEST_F(PteFrameSweeperTest, ProtectedProcessesAreNotLookedAt) {
  const FreshMemory memory(64);
  Actor child({touch_all(memory)});
  child.run(0);
  ProtectedList protect;
  protect.pids = {child.pid()};
  ASSERT_TRUE(protect.hold(Paths()));
  watch({child.pid()}, protect);
  EXPECT_TRUE(sweep().empty());
  EXPECT_EQ(cost_.pages_read, 0U);
}

TEST_F(PteFrameSweeperTest, AProcessThatHasGoneHasNoFrames) {
  const FreshMemory memory(64);
  Actor gone({touch_all(memory)});
  Actor stays({touch_all(memory)});
  gone.run(0);
  stays.run(0);
  watch({gone.pid(), stays.pid()});
  const auto frames = frames_of(stays, memory);
  gone.end();
  const auto runs = sweep();
  EXPECT_EQ(in_state(runs, frames, AccessState::accessed).size(), 64U);
}

}  // namespace
}  // namespace damonfs
