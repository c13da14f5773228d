#include "ops/pte/pte_paddr_backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ops/actions/action_calls.h"
#include "tests/unit/ops/pte/pte_paddr_fixture.h"
#include "tests/unit/ops/rmap/fake_page_tables.h"

namespace damonfs {
namespace {

class PtePaddrBackendTest : public PtePaddrFixture {
 protected:
  // The frames behind the pages of `memory` in the child, ascending by page.
  static std::vector<FrameSample> samples(const Actor& child, const FreshMemory& memory) {
    std::vector<FrameSample> made;
    for (const auto& page : pages_of(child, memory)) made.push_back({.frame = page.entry.pfn()});
    return made;
  }
  // Has the child do its first action, and watches the frames that it leaves behind `memory`.
  std::vector<FrameSample> watch_settled(Actor& child, const FreshMemory& memory) {
    child.run(0);
    settle(child.pid(), memory.addr(0));
    watch({child.pid()});
    return samples(child, memory);
  }
  std::vector<size_t> accessed(std::span<FrameSample> samples) {
    bits_->check(samples);
    return accessed_of(samples);
  }
};

TEST_F(PtePaddrBackendTest, SeesWhatAChildTouches) {
  const FreshMemory memory(256);
  const auto every_third = [](size_t i) { return i % 3 == 0; };
  Actor child({touch_all(memory), touch(memory, every_third)});
  auto frames = watch_settled(child, memory);
  ASSERT_EQ(frames.size(), 256U);
  for (int round = 0; round < 3; ++round) {
    bits_->prepare(frames);
    child.run(1);
    EXPECT_EQ(accessed(frames), those(256, every_third));
    EXPECT_EQ(frames[5].leaf_sz, kPageSize);
    bits_->prepare(frames);
    EXPECT_EQ(accessed(frames).size(), 0U);
  }
}

TEST_F(PtePaddrBackendTest, ALookLeavesPagesAsTheyAre) {
  const FreshMemory memory(256);
  const auto every_third = [](size_t i) { return i % 3 == 0; };
  Actor child({touch_all(memory), touch(memory, every_third)});
  auto frames = watch_settled(child, memory);
  bits_->prepare(frames);
  child.run(1);
  watch({child.pid()});  // anew: nothing was prepared
  for (int round = 0; round < 2; ++round) {
    bits_->look(frames);
    EXPECT_EQ(accessed_of(frames), those(256, every_third));
  }
}

TEST_F(PtePaddrBackendTest, AnyMappingOfASharedPageCounts) {
  const FreshMemory memory(16, MAP_SHARED | MAP_ANONYMOUS);
  const auto first = [](size_t i) { return i < 4; };
  const auto last = [](size_t i) { return i >= 12; };
  Actor one({touch_all(memory), touch(memory, first)});
  Actor two({touch_all(memory), touch(memory, last)});
  one.run(0);
  two.run(0);
  watch({one.pid(), two.pid()});
  auto frames = samples(one, memory);
  ASSERT_EQ(frames.size(), 16U);
  EXPECT_EQ(mappings_of(*keeper_->map(), frames[0].frame).size(), 2U);
  bits_->prepare(frames);
  one.run(1);
  two.run(1);
  EXPECT_EQ(accessed(frames), those(16, [&](size_t i) { return first(i) || last(i); }));
}

TEST_F(PtePaddrBackendTest, AFrameThatWasGivenAwayIsNotAccessed) {
  const FreshMemory memory(64);
  Actor child({touch_all(memory), [&] {
                 ::madvise(memory.data(), memory.size(), MADV_DONTNEED);
                 // Other frames take these addresses.
                 const FreshMemory other(64);
                 for (size_t i = 0; i < 64; ++i) *other.page(i) = 1;
                 for (size_t i = 0; i < 64; ++i) *memory.page(i) = 1;
               }});
  child.run(0);
  watch({child.pid()});
  auto frames = samples(child, memory);
  bits_->prepare(frames);
  child.run(1);
  auto now = samples(child, memory);
  ASSERT_EQ(now.size(), frames.size());
  bits_->check(frames);
  size_t nr_moved = 0;
  for (size_t i = 0; i < frames.size(); ++i) {
    if (now[i].frame == frames[i].frame) continue;
    ++nr_moved;
    EXPECT_FALSE(frames[i].accessed) << i;
    EXPECT_EQ(frames[i].leaf_sz, 0U);
  }
  EXPECT_GT(nr_moved, 0U);
  // So old a map is made anew. Not waited for: sanitizers give a process page tables for minutes.
  if (nr_moved > 16) {
    EXPECT_TRUE(!keeper_->wait({}) || keeper_->nr_scans() == 2U);
  }
}

TEST_F(PtePaddrBackendTest, SparedProcessesAreNotLookedAt) {
  const FreshMemory memory(8);
  Actor child({touch_all(memory)});
  child.run(0);
  ProtectedList protect;
  protect.pids = {child.pid()};
  ASSERT_TRUE(protect.hold(Paths()));
  watch({child.pid()}, protect);
  auto frames = samples(child, memory);
  bits_->prepare(frames);
  child.run(0);
  EXPECT_EQ(accessed(frames).size(), 0U);
  EXPECT_EQ(mappings_of(*keeper_->map(), frames[0].frame).size(), 1U)
      << "the list has it, so it is protected";
}

TEST_F(PtePaddrBackendTest, YoungUntilAsked) {
  const FreshMemory memory(8);
  Actor child({touch_all(memory)});
  const auto frames = watch_settled(child, memory);
  ASSERT_EQ(frames.size(), 8U);
  std::vector<Folio> folios;
  for (const FrameSample& sample : frames) folios.push_back({.head = sample.frame});
  bool young[8] = {};
  bits_->young(folios, young);
  EXPECT_THAT(young, testing::Each(true));
  bits_->young(folios, young);
  EXPECT_THAT(young, testing::Each(false));
}

// What lru_prio is made of: reading a process's memory from outside marks the page in its LRU list
// and leaves the accessed bit of the page table as it is.
TEST_F(PtePaddrBackendTest, TouchingActivatesAndSetsNoAccessedBit) {
  const FreshMemory memory(64);
  Actor child({touch_all(memory)});
  auto frames = watch_settled(child, memory);
  ASSERT_EQ(frames.size(), 64U);
  bits_->prepare(frames);  // MADV_COLD has them on the inactive list
  for (size_t i = 0; i < 64; ++i) {
    const iovec byte{reinterpret_cast<void*>(memory.addr(i)), 1};
    EXPECT_EQ(ActionCalls().touch(child.pid(), {&byte, 1}), 1);
    EXPECT_EQ(ActionCalls().touch(child.pid(), {&byte, 1}), 1);
  }
  EXPECT_EQ(accessed(frames).size(), 0U);
  Kpageflags kernel{Paths()};
  size_t nr_marked = 0;
  for (const FrameSample& sample : frames) {
    Folio folio;
    ASSERT_EQ(kernel.folios({&sample.frame, 1}, {&folio, 1}), 0);
    if ((folio.flags & (frame_flags::kActive | frame_flags::kReferenced)) != 0) ++nr_marked;
  }
  EXPECT_GE(nr_marked, 32U) << "the last ones may wait in a batch";
}

}  // namespace
}  // namespace damonfs
