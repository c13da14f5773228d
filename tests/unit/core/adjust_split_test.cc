// Splitting regions, and the limits that min_nr_regions sets to their size.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

#include "core/adjust.h"
#include "tests/unit/core/adjust_fixture.h"

namespace damonfs {
namespace {

using testing::ElementsAre;

// --- Limits of size

TEST_F(AdjustTest, SizeLimitIsTheTotalOverMinRegions) {
  add(pages(0, 70), 0);
  Target& other = context_->add_target(nullptr);
  other.add_region(pages(0, 35));
  EXPECT_EQ(region_sz_limit(*context_), 105 * kPage / 10);
}

TEST_F(AdjustTest, SizeLimitIsNotBelowTheSmallestRegion) {
  add(pages(0, 7), 0);
  EXPECT_EQ(region_sz_limit(*context_), kPage);
  target_.clear_regions();
  EXPECT_EQ(region_sz_limit(*context_), kPage);
}

TEST_F(AdjustTest, CutsWhatIsAboveTheLimit) {
  // 33 pages over 10: 3.3, rounded up to 4 pages.
  add(pages(0, 33), 6, 5, 4);
  EXPECT_EQ(apply_min_nr_regions(*context_), 4 * kPage);
  EXPECT_THAT(ranges_of(target_),
              ElementsAre(pages(0, 4), pages(4, 8), pages(8, 12), pages(12, 16), pages(16, 20),
                          pages(20, 24), pages(24, 28), pages(28, 32), pages(32, 33)));
  for (const Region& region : target_.regions()) {
    EXPECT_EQ(region.nr_accesses, 6);
    EXPECT_EQ(region.last_nr_accesses, 5);
    EXPECT_EQ(region.age, 4);
  }
}

TEST_F(AdjustTest, CutsEachRegionForItself) {
  context_->attrs.min_nr_regions = 4;
  add(pages(0, 5), 1);
  add(pages(5, 6), 2);
  add(pages(7, 13), 3);
  EXPECT_EQ(apply_min_nr_regions(*context_), 3 * kPage);
  EXPECT_THAT(known_of(target_), ElementsAre(Known{pages(0, 3), 1, 0}, Known{pages(3, 5), 1, 0},
                                             Known{pages(5, 6), 2, 0}, Known{pages(7, 10), 3, 0},
                                             Known{pages(10, 13), 3, 0}));
}

TEST_F(AdjustTest, LeavesRegionsOfJustTheLimit) {
  add_many(10, 7);
  EXPECT_EQ(apply_min_nr_regions(*context_), 7 * kPage);
  EXPECT_EQ(target_.nr_regions(), 10);
}

TEST_F(AdjustTest, LimitsAreInUnitsOfTheSmallestRegion) {
  context_->min_region_sz = 1;
  target_.add_region({0, 25});
  EXPECT_EQ(region_sz_limit(*context_), 2);
  EXPECT_EQ(apply_min_nr_regions(*context_), 2);
  EXPECT_EQ(target_.nr_regions(), 13);
  EXPECT_EQ(target_.regions().back().range, (AddrRange{24, 25}));
}

// --- Splitting

class SplitTest : public AdjustTest {
 protected:
  void set_bounds(uint64_t min, uint64_t max) {
    context_->attrs.min_nr_regions = min;
    context_->attrs.max_nr_regions = max;
  }
  // The sum of sizes and the borders are as they must be for `count` regions of `size` pages.
  void expect_whole(uint64_t count, uint64_t size) {
    EXPECT_THAT(covered_by(target_), ElementsAre(pages(0, count * size)));
    for (const Region& region : target_.regions()) {
      EXPECT_EQ(region.range.start % kPage, 0);
      EXPECT_LT(region.range.start, region.range.end);
    }
  }
};

TEST_F(SplitTest, CutsInTwoAtATenth) {
  std::set<uint64_t> seen;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const auto context = fake_context(seed);
    context->last_nr_regions = 99;
    Target& target = context->add_target(nullptr);
    target.add_region(pages(0, 100));
    split_regions(*context);
    ASSERT_EQ(target.nr_regions(), 2);
    ASSERT_THAT(covered_by(target), ElementsAre(pages(0, 100)));
    seen.insert(target.regions().front().range.end / kPage);
  }
  EXPECT_THAT(seen, ElementsAre(10, 20, 30, 40, 50, 60, 70, 80, 90));
}

TEST_F(SplitTest, WhatASweepFoundIdleStaysWhole) {
  for (uint64_t i = 0; i < 5; ++i) add(pages(i * 100, (i + 1) * 100), 0).swept = SweptState(i % 4);
  // A sample has found an access since.
  Region& touched = target_.regions().back();
  touched.swept = SweptState::not_accessed;
  touched.last_nr_accesses = 1;
  split_regions(*context_);
  expect_whole(5, 100);
  EXPECT_EQ(target_.nr_regions(), 9);
  EXPECT_THAT(ranges_of(target_), testing::Contains(pages(100, 200)));
}

TEST_F(SplitTest, SplitOfSomeSparesWhatASweepFoundIdle) {
  set_bounds(1, 30);
  add_many(20, 100);
  for (Region& region : target_.regions()) region.swept = SweptState::not_accessed;
  for (int i = 0; i < 10; ++i) split_regions(*context_);
  EXPECT_EQ(target_.nr_regions(), 20);
}

TEST_F(SplitTest, PartsInheritCountsAndAge) {
  add(pages(0, 100), 6, 5, 4);
  split_regions(*context_);
  ASSERT_EQ(target_.nr_regions(), 2);
  for (const Region& region : target_.regions()) {
    EXPECT_EQ(region.nr_accesses, 6);
    EXPECT_EQ(region.last_nr_accesses, 5);
    EXPECT_EQ(region.age, 4);
  }
}

TEST_F(SplitTest, CutsInThreeWhenTheNumberStandsStill) {
  add_many(10, 1000);
  context_->last_nr_regions = 10;
  split_regions(*context_);
  EXPECT_EQ(target_.nr_regions(), 30);
  expect_whole(10, 1000);
}

// Of three parts the two left ones come out of the first cut's left part.
TEST_F(SplitTest, CutsTheLeftPartAgain) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const auto context = fake_context(seed);
    context->last_nr_regions = 1;
    Target& target = context->add_target(nullptr);
    target.add_region(pages(0, 100));
    split_regions(*context);
    ASSERT_EQ(target.nr_regions(), 3);
    const std::vector<AddrRange> parts = ranges_of(target);
    const uint64_t left = parts[1].end / kPage;
    EXPECT_EQ(left % 10, 0);
    EXPECT_EQ(parts[0].end / kPage % (left / 10), 0);
  }
}

TEST_F(SplitTest, CutsInTwoWhenTheNumberMoves) {
  add_many(10, 1000);
  context_->last_nr_regions = 11;
  split_regions(*context_);
  EXPECT_EQ(target_.nr_regions(), 20);
}

TEST_F(SplitTest, CutsInTwoFromAThirdOfTheBound) {
  set_bounds(3, 30);
  add_many(10, 1000);
  context_->last_nr_regions = 10;
  split_regions(*context_);
  EXPECT_EQ(target_.nr_regions(), 20);
}

TEST_F(SplitTest, CutsInThreeBelowAThirdOfTheBound) {
  set_bounds(3, 33);
  add_many(10, 1000);
  context_->last_nr_regions = 10;
  split_regions(*context_);
  EXPECT_EQ(target_.nr_regions(), 30);
}

TEST_F(SplitTest, RemembersTheNumberBeforeTheSplit) {
  add_many(10, 1000);
  split_regions(*context_);
  EXPECT_EQ(context_->last_nr_regions, 10);
  split_regions(*context_);
  EXPECT_EQ(context_->last_nr_regions, 20);
}

TEST_F(SplitTest, RemembersTheNumberEvenWhereItDoesNotSplit) {
  set_bounds(3, 10);
  add_many(12, 1000);
  split_regions(*context_);
  EXPECT_EQ(context_->last_nr_regions, 12);
}

TEST_F(SplitTest, CutsEveryRegionAtHalfOfTheBound) {
  set_bounds(3, 20);
  add_many(10, 1000);
  split_regions(*context_);
  EXPECT_EQ(target_.nr_regions(), 20);
}

// Just above half: 6 of 10, every 10 / (10 - 6) = 2nd region.
TEST_F(SplitTest, CutsEveryNthRegionAboveHalfOfTheBound) {
  set_bounds(3, 10);
  add_many(6, 1000);
  split_regions(*context_);
  EXPECT_EQ(target_.nr_regions(), 9);
  expect_whole(6, 1000);
}

// Which of the regions of 1,000 pages were cut.
std::vector<uint64_t> cut_regions(const Target& target) {
  std::vector<uint64_t> cut;
  for (const AddrRange& range : ranges_of(target)) {
    if (range.size() < 1000 * kPage && range.start % (1000 * kPage) == 0) {
      cut.push_back(range.start / (1000 * kPage));
    }
  }
  return cut;
}

// 8 of 10: every 5th; the first to be cut moves on by one each time.
TEST_F(SplitTest, RegionsTakeTurns) {
  std::vector<std::vector<uint64_t>> turns;
  set_bounds(3, 10);
  for (int turn = 0; turn < 6; ++turn) {
    target_.clear_regions();
    add_many(8, 1000);
    split_regions(*context_);
    turns.push_back(cut_regions(target_));
  }
  EXPECT_THAT(turns, ElementsAre(ElementsAre(0, 5), ElementsAre(1, 6), ElementsAre(2, 7),
                                 ElementsAre(3), ElementsAre(4), ElementsAre(0, 5)));
}

TEST_F(SplitTest, OnlySplitsOfSomeCountAsTurns) {
  set_bounds(3, 1000);
  add_many(8, 1000);
  split_regions(*context_);  // of all
  set_bounds(3, 8);
  split_regions(*context_);  // of none
  set_bounds(3, 10);
  target_.clear_regions();
  add_many(8, 1000);
  split_regions(*context_);
  EXPECT_THAT(cut_regions(target_), ElementsAre(0, 5));
}

TEST_F(SplitTest, TurnsCountAcrossTargets) {
  set_bounds(3, 10);
  Target& other = context_->add_target(nullptr);
  add_many(4, 1000);
  for (uint64_t i = 0; i < 4; ++i) other.add_region(pages(i * 1000, (i + 1) * 1000));
  split_regions(*context_);
  EXPECT_THAT(cut_regions(target_), ElementsAre(0));
  EXPECT_THAT(cut_regions(other), ElementsAre(1));
}

// How many regions a split makes of `count` that stood still, all large enough; `turns` counts the
// splits of some.
uint64_t expected_after_split(uint64_t count, uint64_t max, uint64_t& turns) {
  if (count >= max) return count;
  if (count <= max / 2) return count < max / 3 ? 3 * count : 2 * count;
  const uint64_t step = max / (max - count);
  const uint64_t first = turns++ % step;
  return first < count ? count + (count - first + step - 1) / step : count;
}

TEST_F(SplitTest, NeverExceedsTheBoundWhateverTheNumber) {
  uint64_t turns = 0;
  for (uint64_t max = 3; max <= 40; ++max) {
    for (uint64_t count = 1; count <= max + 1; ++count) {
      SCOPED_TRACE(testing::Message() << count << " of " << max);
      set_bounds(3, max);
      target_.clear_regions();
      add_many(count, 1000);
      context_->last_nr_regions = count;
      split_regions(*context_);
      ASSERT_EQ(target_.nr_regions(), expected_after_split(count, max, turns));
      ASSERT_LE(target_.nr_regions(), std::max(count, max));
      ASSERT_THAT(covered_by(target_), ElementsAre(pages(0, count * 1000)));
    }
  }
}

TEST_F(SplitTest, DoesNothingAtTheBound) {
  set_bounds(3, 10);
  add_many(10, 1000);
  const std::vector<AddrRange> before = ranges_of(target_);
  split_regions(*context_);
  EXPECT_EQ(ranges_of(target_), before);
}

TEST_F(SplitTest, DoesNothingAboveTheBound) {
  set_bounds(3, 10);
  add_many(25, 1000);
  split_regions(*context_);
  EXPECT_EQ(target_.nr_regions(), 25);
}

// Splits of all leave alone what is twice the smallest region, those of some do not.
TEST_F(SplitTest, SplitOfAllSparesRegionsOfTwoPages) {
  for (int round = 0; round < 100; ++round) {
    target_.clear_regions();
    add_many(10, 2);
    context_->last_nr_regions = round % 2 == 0 ? 10 : 0;
    split_regions(*context_);
    ASSERT_EQ(target_.nr_regions(), 10);
  }
}

TEST_F(SplitTest, SplitOfSomeCutsRegionsOfTwoPages) {
  set_bounds(3, 10);
  size_t max = 0;
  for (int round = 0; round < 100; ++round) {
    target_.clear_regions();
    add_many(6, 2);
    split_regions(*context_);
    max = std::max(max, target_.nr_regions());
    ASSERT_THAT(covered_by(target_), ElementsAre(pages(0, 12)));
  }
  EXPECT_EQ(max, 9);
}

TEST_F(SplitTest, SplitOfSomeSparesRegionsOfOnePage) {
  set_bounds(3, 10);
  for (int round = 0; round < 100; ++round) {
    target_.clear_regions();
    add_many(6, 1);
    split_regions(*context_);
    ASSERT_EQ(target_.nr_regions(), 6);
  }
}

// Of 3 pages the tenths round down to 0 (1 to 3 tenths: no cut), 1 (4 to 6) and 2 pages.
TEST_F(SplitTest, NeverMakesAPartBelowTheSmallestRegion) {
  std::set<std::vector<uint64_t>> seen;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    const auto context = fake_context(seed);
    Target& target = context->add_target(nullptr);
    target.add_region(pages(0, 3));
    split_regions(*context);
    std::vector<uint64_t> sizes;
    for (const AddrRange& range : ranges_of(target)) sizes.push_back(range.size() / kPage);
    seen.insert(sizes);
  }
  EXPECT_THAT(seen, ElementsAre(ElementsAre(1, 2), ElementsAre(2, 1), ElementsAre(3)));
}

TEST_F(SplitTest, CutsInUnitsOfTheSmallestRegion) {
  context_->min_region_sz = 512;
  std::set<uint64_t> seen;
  for (int round = 0; round < 100; ++round) {
    target_.clear_regions();
    target_.add_region({0, uint64_t{4} * 512});
    context_->last_nr_regions = 0;
    split_regions(*context_);
    if (target_.nr_regions() == 2) seen.insert(front().range.end);
  }
  EXPECT_THAT(seen, ElementsAre(512, 1024, 1536));
}

}  // namespace
}  // namespace damonfs
