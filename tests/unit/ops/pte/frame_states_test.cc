#include "ops/pte/frame_states.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "core/base/page_size.h"

namespace damonfs {
namespace {

using Runs = std::vector<SweptRun>;
using Frames = std::array<uint64_t, EntrySet::kSize>;

SweptRun frames(uint64_t first, uint64_t end, AccessState state) {
  return {{first * kPageSize, end * kPageSize}, state};
}

EntrySet leaves(const std::vector<unsigned>& which) {
  EntrySet set;
  for (const unsigned leaf : which) set.set(leaf);
  return set;
}

// A block of small pages, of which these leaves are there, in frames that ascend from `first`.
LeafBlock block_of(const std::vector<unsigned>& resident, const std::vector<unsigned>& young = {},
                   const std::vector<unsigned>& unknown = {}) {
  LeafBlock block{.addr = 0x10000000, .shift = kPageSize.shift()};
  block.resident = leaves(resident);
  block.young = leaves(young);
  block.unknown = leaves(unknown);
  return block;
}
Frames from(uint64_t first) {
  Frames frames{};
  for (size_t i = 0; i < frames.size(); ++i) frames[i] = first + i;
  return frames;
}

Runs runs_of(const FrameStates& states, uint64_t first = 0, uint64_t last = uint64_t{1} << 40) {
  Runs runs;
  states.append_runs(first, last, runs);
  return runs;
}

TEST(FrameStatesTest, NothingIsKnownOfWhatNobodyMaps) {
  FrameStates states;
  states.begin({{0, 1000}});
  EXPECT_TRUE(runs_of(states).empty());
}

TEST(FrameStatesTest, TellsFramesByWhatWasFoundOfTheirLeaves) {
  FrameStates states;
  states.begin({{0, uint64_t{1} << 40}});
  const LeafBlock block = block_of({0, 1, 2, 3, 70, 100}, {1, 2, 70}, {70});
  const Frames at = from(60);
  EXPECT_EQ(states.add(block, at), block.resident);
  states.tell(block, at);
  EXPECT_EQ(runs_of(states),
            (Runs{frames(60, 61, AccessState::not_accessed), frames(61, 63, AccessState::accessed),
                  frames(63, 64, AccessState::not_accessed), frames(130, 131, AccessState::unknown),
                  frames(160, 161, AccessState::not_accessed)}));
  EXPECT_EQ(runs_of(states, 62, 130), (Runs{frames(62, 63, AccessState::accessed),
                                            frames(63, 64, AccessState::not_accessed)}));
}

TEST(FrameStatesTest, FramesMayLieAnywhere) {
  FrameStates states;
  states.begin({{0, uint64_t{1} << 40}});
  Frames at{};
  at[3] = 9'000'000'000;
  at[4] = 32767;  // at a chunk's end
  at[5] = 32768;
  const LeafBlock block = block_of({3, 4, 5}, {3, 4, 5});
  states.add(block, at);
  states.tell(block, at);
  EXPECT_EQ(runs_of(states), (Runs{frames(32767, 32769, AccessState::accessed),
                                   frames(9'000'000'000, 9'000'000'001, AccessState::accessed)}));
}

TEST(FrameStatesTest, AccessedOverUnknownOverNotByAnyMapping) {
  FrameStates states;
  states.begin({{0, 1000}});
  const Frames at = from(10);
  for (const LeafBlock& block :
       {block_of({0, 1, 2}, {0, 1}, {0, 1}), block_of({0, 1, 2}, {0}), block_of({0, 1, 2})}) {
    states.add(block, at);
    states.tell(block, at);
  }
  EXPECT_EQ(runs_of(states),
            (Runs{frames(10, 11, AccessState::accessed), frames(11, 12, AccessState::unknown),
                  frames(12, 13, AccessState::not_accessed)}));
}

TEST(FrameStatesTest, WhatIsNotWantedIsUnknownWhereItIsYoung) {
  FrameStates states;
  states.begin({{12, 14}, {100, 101}, {140, 32770}});
  const Frames at = from(10);
  const LeafBlock block = block_of({0, 1, 2, 3, 4, 90, 91, 129, 130}, {1, 2, 4, 129, 130});
  EXPECT_EQ(states.add(block, at), leaves({2, 3, 90, 130}));
  EXPECT_EQ(
      runs_of(states, 0, 16),
      (Runs{frames(10, 11, AccessState::not_accessed), frames(11, 12, AccessState::unknown),
            frames(12, 14, AccessState::not_accessed), frames(14, 15, AccessState::unknown)}));
  const Frames behind = from(32760);
  EXPECT_EQ(states.add(block_of({9, 10}), behind), leaves({9}));
}

TEST(FrameStatesTest, AHugeLeafStandsForAllItsFrames) {
  FrameStates states;
  states.begin({{1500, 1501}});  // any of them is enough
  LeafBlock block{.addr = 0x40000000, .shift = kPageSize.shift() + 9};
  block.resident = leaves({0, 1});
  block.young = leaves({0, 1});
  Frames at{};
  at[0] = 1024;
  at[1] = 4096;
  const EntrySet wanted = states.add(block, at);
  EXPECT_EQ(wanted, leaves({0}));
  block.resident = wanted;
  states.tell(block, at);
  EXPECT_EQ(runs_of(states), (Runs{frames(1024, 1536, AccessState::accessed),
                                   frames(4096, 4608, AccessState::unknown)}));
}

TEST(FrameStatesTest, NothingIsKnownNotToBeAccessedWhereNotAllWasRead) {
  FrameStates states;
  states.begin({{0, 1000}});
  const Frames at = from(10);
  const LeafBlock block = block_of({0, 1, 2, 4}, {1, 4});
  states.add(block, at);
  states.tell(block, at);
  states.note_unread();
  EXPECT_EQ(runs_of(states, 5, 100),
            (Runs{frames(5, 11, AccessState::unknown), frames(11, 12, AccessState::accessed),
                  frames(12, 14, AccessState::unknown), frames(14, 15, AccessState::accessed),
                  frames(15, 100, AccessState::unknown)}));
  states.begin({{0, 1000}});
  EXPECT_TRUE(runs_of(states).empty());
}

TEST(FrameStatesTest, APassForgetsTheLastOne) {
  FrameStates states;
  states.begin({{0, 1000}});
  const Frames at = from(10);
  states.add(block_of({0}), at);
  states.begin({{0, 1000}});
  EXPECT_TRUE(runs_of(states).empty());
}

}  // namespace
}  // namespace damonfs
