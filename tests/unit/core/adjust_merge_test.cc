// Merging and ageing regions at an aggregation's end, and beginning the next one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/adjust.h"
#include "tests/unit/core/adjust_fixture.h"

namespace damonfs {
namespace {

using testing::ElementsAre;

constexpr uint64_t kNoLimit = UINT64_MAX;

// --- Merging

TEST_F(AdjustTest, MergesUpToTheThreshold) {
  add(pages(0, 1), 5);
  add(pages(1, 2), 7);
  merge_regions(*context_, 2, kNoLimit);
  EXPECT_THAT(ranges_of(target_), ElementsAre(pages(0, 2)));
}

TEST_F(AdjustTest, DoesNotMergeAboveTheThreshold) {
  add(pages(0, 1), 5);
  add(pages(1, 2), 8);
  add(pages(2, 3), 5);
  merge_regions(*context_, 2, kNoLimit);
  EXPECT_THAT(ranges_of(target_), ElementsAre(pages(0, 1), pages(1, 2), pages(2, 3)));
}

TEST_F(AdjustTest, MergesUpToTheSizeLimit) {
  add(pages(0, 3), 0);
  add(pages(3, 5), 0);
  merge_regions(*context_, 0, 5 * kPage);
  EXPECT_THAT(ranges_of(target_), ElementsAre(pages(0, 5)));
}

TEST_F(AdjustTest, DoesNotMergeAboveTheSizeLimit) {
  add(pages(0, 3), 0);
  add(pages(3, 5), 0);
  merge_regions(*context_, 0, 5 * kPage - 1);
  EXPECT_THAT(ranges_of(target_), ElementsAre(pages(0, 3), pages(3, 5)));
}

TEST_F(AdjustTest, MergesOnlyWhatTouches) {
  add(pages(0, 1), 0);
  add(pages(2, 3), 0);
  merge_regions(*context_, 20, kNoLimit);
  EXPECT_THAT(ranges_of(target_), ElementsAre(pages(0, 1), pages(2, 3)));
}

TEST_F(AdjustTest, DoesNotMergeAcrossTargets) {
  add(pages(0, 1), 0);
  Target& other = context_->add_target(nullptr);
  other.add_region(pages(1, 2));
  merge_regions(*context_, 20, kNoLimit);
  EXPECT_EQ(context_->nr_regions(), 2);
}

TEST_F(AdjustTest, MergedMeansAreWeightedAndRoundedDown) {
  // Ages become 5, 11 first. (4*1 + 7*2) / 3 = 6; (5*1 + 11*2) / 3 = 9.
  add(pages(0, 1), 4, 4, 4);
  add(pages(1, 3), 7, 7, 10);
  merge_regions(*context_, 3, kNoLimit);
  EXPECT_THAT(known_of(target_), ElementsAre(Known{pages(0, 3), 6, 9}));
}

TEST_F(AdjustTest, MergeKeepsTheLeftRegionsLastAggregation) {
  add(pages(0, 1), 4, 3);
  add(pages(1, 9), 4, 5);
  merge_regions(*context_, 1, kNoLimit);
  ASSERT_EQ(target_.nr_regions(), 1);
  EXPECT_EQ(front().last_nr_accesses, 3);
}

TEST_F(AdjustTest, MeansDoNotOverflow) {
  constexpr uint64_t kHalf = uint64_t{1} << 62;
  add({0, kHalf}, UINT32_MAX, UINT32_MAX);
  add({kHalf, 2 * kHalf}, UINT32_MAX, UINT32_MAX);
  context_->attrs.aggr_us = context_->attrs.sample_us * UINT32_MAX;
  merge_regions(*context_, 0, kNoLimit);
  EXPECT_THAT(known_of(target_), ElementsAre(Known{{0, 2 * kHalf}, UINT32_MAX, 1}));
}

// The merged region, with its mean, is what the next one is compared with: 2 and 4 make 3, which
// takes in 5 (4 for the two), but then 4 does not reach 7.
TEST_F(AdjustTest, ComparesWithTheMergedRegion) {
  add(pages(0, 1), 2);
  add(pages(1, 2), 4);
  add(pages(2, 4), 5);
  add(pages(4, 5), 7);
  merge_regions(*context_, 2, kNoLimit);
  EXPECT_THAT(known_of(target_), ElementsAre(Known{pages(0, 4), 4, 0}, Known{pages(4, 5), 7, 0}));
}

TEST_F(AdjustTest, SizeLimitCountsTheMergedRegion) {
  add_many(7, 1);
  merge_regions(*context_, 0, 3 * kPage);
  EXPECT_THAT(ranges_of(target_), ElementsAre(pages(0, 3), pages(3, 6), pages(6, 7)));
}

TEST_F(AdjustTest, MergeOfNothingIsNothing) {
  merge_regions(*context_, 20, kNoLimit);
  EXPECT_EQ(target_.nr_regions(), 0);
}

// --- Ageing

TEST_F(AdjustTest, AgeGrowsWithinTheThreshold) {
  add(pages(0, 1), 5, 7, 3);
  add(pages(2, 3), 9, 7, 3);
  merge_regions(*context_, 2, kNoLimit);
  EXPECT_THAT(known_of(target_), ElementsAre(Known{pages(0, 1), 5, 4}, Known{pages(2, 3), 9, 4}));
}

TEST_F(AdjustTest, AgeRestartsAboveTheThreshold) {
  add(pages(0, 1), 4, 7, 3);
  add(pages(2, 3), 10, 7, 3);
  merge_regions(*context_, 2, kNoLimit);
  EXPECT_THAT(known_of(target_), ElementsAre(Known{pages(0, 1), 4, 0}, Known{pages(2, 3), 10, 0}));
}

TEST_F(AdjustTest, AgeRestartsBetweenNoneAndSome) {
  add(pages(0, 1), 0, 1, 3);
  add(pages(2, 3), 1, 0, 3);
  add(pages(4, 5), 0, 0, 3);
  add(pages(6, 7), 2, 1, 3);
  merge_regions(*context_, 2, kNoLimit);
  EXPECT_THAT(known_of(target_), ElementsAre(Known{pages(0, 1), 0, 0}, Known{pages(2, 3), 1, 0},
                                             Known{pages(4, 5), 0, 4}, Known{pages(6, 7), 2, 4}));
}

// Ageing goes by each region's own counts, before it is merged.
TEST_F(AdjustTest, AgesBeforeMerging) {
  add(pages(0, 1), 5, 5, 3);   // becomes 4
  add(pages(1, 2), 5, 15, 8);  // becomes 0
  merge_regions(*context_, 1, kNoLimit);
  EXPECT_THAT(known_of(target_), ElementsAre(Known{pages(0, 2), 5, 2}));
}

TEST_F(AdjustTest, AgesOnceHoweverOftenTheMergeRepeats) {
  // 20 samples; thresholds 1, 2, 4 and 8 leave the regions apart, 16 would too if not raised to 20.
  context_->attrs.max_nr_regions = 3;
  add(pages(0, 1), 0, 0, 3);
  add(pages(1, 2), 20, 20, 3);
  add(pages(2, 3), 0, 0, 3);
  add(pages(3, 4), 20, 20, 3);
  merge_regions(*context_, 1, 2 * kPage);
  EXPECT_THAT(known_of(target_), ElementsAre(Known{pages(0, 2), 10, 4}, Known{pages(2, 4), 10, 4}));
}

// Ageing goes by the threshold asked for, not by one that too many regions have raised.
TEST_F(AdjustTest, AgesByTheFirstThreshold) {
  context_->attrs.max_nr_regions = 3;
  for (uint64_t i = 0; i < 4; ++i) add(pages(i, i + 1), i % 2 == 0 ? 8 : 10, 4, 5);
  merge_regions(*context_, 1, 2 * kPage);
  EXPECT_THAT(known_of(target_), ElementsAre(Known{pages(0, 2), 9, 0}, Known{pages(2, 4), 9, 0}));
}

// --- What samples could not tell

TEST_F(AdjustTest, AnUnknownRegionDoesNotBecomePartOfAColdOne) {
  add(pages(0, 1), 0).unknown = true;
  add(pages(1, 100), 0);
  merge_regions(*context_, 20, kNoLimit);
  EXPECT_THAT(ranges_of(target_), ElementsAre(pages(0, 1), pages(1, 100)));
}

TEST_F(AdjustTest, AnAccessTellsWhatOtherSamplesCouldNot) {
  add(pages(0, 1), 1).unknown = true;
  add(pages(1, 2), 1);
  merge_regions(*context_, 0, kNoLimit);
  EXPECT_THAT(ranges_of(target_), ElementsAre(pages(0, 2)));
}

TEST_F(AdjustTest, WhatAnUnknownRegionIsMergedWithIsUnknown) {
  context_->attrs.max_nr_regions = 3;
  for (uint64_t i = 0; i < 4; ++i) add(pages(10 * i, 10 * i + 10), 0);
  target_.add_region(pages(40, 41)).unknown = true;
  merge_regions(*context_, 0, kNoLimit);
  ASSERT_EQ(target_.nr_regions(), 2);
  reset_aggregated(*context_);
  EXPECT_FALSE(is_unknown(front()));
  EXPECT_TRUE(is_unknown(target_.regions().back()));
  context_->attrs.max_nr_regions = 1;
  merge_regions(*context_, 0, kNoLimit);
  ASSERT_EQ(target_.nr_regions(), 1);
  EXPECT_TRUE(is_unknown(front()));
}

TEST_F(AdjustTest, AgeStandsStillWhileNobodyKnows) {
  add(pages(0, 1), 0, 0, 3).unknown = true;
  merge_regions(*context_, 2, kNoLimit);
  reset_aggregated(*context_);
  merge_regions(*context_, 2, kNoLimit);
  EXPECT_EQ(front().age, 3);
  reset_aggregated(*context_);
  merge_regions(*context_, 2, kNoLimit);
  EXPECT_EQ(front().age, 4);
}

// --- Escalation while there are too many

TEST_F(AdjustTest, KeepsTheThresholdWhileThereAreFewEnough) {
  context_->attrs.max_nr_regions = 4;
  for (uint64_t i = 0; i < 4; ++i) add(pages(i, i + 1), i % 2 == 0 ? 5 : 7);
  merge_regions(*context_, 1, kNoLimit);
  EXPECT_EQ(target_.nr_regions(), 4);
}

TEST_F(AdjustTest, DoublesTheThresholdUntilThereAreFewEnough) {
  // Differences 4 (merged at 4: 1 -> 2 -> 4) and 5 (would be at 8).
  context_->attrs.max_nr_regions = 3;
  add(pages(0, 1), 2);
  add(pages(1, 2), 6);
  add(pages(3, 4), 2);
  add(pages(4, 5), 7);
  merge_regions(*context_, 1, kNoLimit);
  EXPECT_THAT(ranges_of(target_), ElementsAre(pages(0, 2), pages(3, 4), pages(4, 5)));
}

TEST_F(AdjustTest, RaisesAThresholdOfZeroToOne) {
  context_->attrs.max_nr_regions = 3;
  add(pages(0, 1), 2);
  add(pages(1, 2), 3);
  add(pages(3, 4), 2);
  add(pages(4, 5), 4);
  merge_regions(*context_, 0, kNoLimit);
  EXPECT_THAT(ranges_of(target_), ElementsAre(pages(0, 2), pages(3, 4), pages(4, 5)));
}

// 21 samples: 5, 10, and as 10 is not below 21 / 2, then 21 at once. A step at 20 would have found
// few enough with one merge.
TEST_F(AdjustTest, JumpsToTheNumberOfSamplesFromItsHalf) {
  context_->attrs.aggr_us = 21 * context_->attrs.sample_us;
  context_->attrs.max_nr_regions = 3;
  add(pages(0, 1), 1);
  add(pages(1, 2), 21);
  add(pages(3, 4), 0);
  add(pages(4, 5), 21);
  merge_regions(*context_, 5, kNoLimit);
  EXPECT_THAT(ranges_of(target_), ElementsAre(pages(0, 2), pages(3, 5)));
}

TEST_F(AdjustTest, GivesUpAtTheNumberOfSamples) {
  context_->attrs.max_nr_regions = 3;
  for (uint64_t i = 0; i < 6; ++i) add(pages(2 * i, 2 * i + 1), 20);
  merge_regions(*context_, 0, kNoLimit);
  EXPECT_EQ(target_.nr_regions(), 6);
}

TEST_F(AdjustTest, SizeLimitHoldsHoweverHighTheThreshold) {
  context_->attrs.max_nr_regions = 3;
  add_many(8, 1);
  merge_regions(*context_, 0, 2 * kPage);
  EXPECT_THAT(ranges_of(target_), ElementsAre(pages(0, 2), pages(2, 4), pages(4, 6), pages(6, 8)));
}

TEST_F(AdjustTest, EscalationCountsAllTargets) {
  context_->attrs.max_nr_regions = 5;
  Target& other = context_->add_target(nullptr);
  for (uint64_t i = 0; i < 3; ++i) {
    add(pages(i, i + 1), i % 2 == 0 ? 2 : 3);
    add_region(other, {pages(i, i + 1), i % 2 == 0 ? 12U : 13U, 0});
  }
  merge_regions(*context_, 0, kNoLimit);
  EXPECT_THAT(ranges_of(target_), ElementsAre(pages(0, 3)));
  EXPECT_THAT(ranges_of(other), ElementsAre(pages(0, 3)));
}

TEST_F(AdjustTest, EscalationEndsWithIntervalsOfZero) {
  context_->attrs.max_nr_regions = 3;
  context_->attrs.sample_us = 0;
  context_->attrs.aggr_us = 0;
  for (uint64_t i = 0; i < 5; ++i) add(pages(i, i + 1), i % 2 == 0 ? 0 : 5);
  merge_regions(*context_, 0, kNoLimit);
  EXPECT_EQ(target_.nr_regions(), 5);
}

// --- Starting anew

TEST_F(AdjustTest, ResetStartsANewAggregation) {
  add(pages(0, 1), 6, 5, 4);
  add(pages(1, 2), 0, 5, 3);
  reset_aggregated(*context_);
  EXPECT_THAT(known_of(target_), ElementsAre(Known{pages(0, 1), 0, 4}, Known{pages(1, 2), 0, 3}));
  EXPECT_EQ(front().last_nr_accesses, 6);
  EXPECT_EQ(target_.regions().back().last_nr_accesses, 0);
}

}  // namespace
}  // namespace damonfs
