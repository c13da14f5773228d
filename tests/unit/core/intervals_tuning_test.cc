#include "core/intervals_tuning.h"

#include <gtest/gtest.h>

#include <vector>

#include "core/kdamond_loop.h"
#include "tests/unit/core/fake_operations.h"
#include "tests/unit/core/virtual_clock.h"

namespace damonfs {
namespace {

// 5 ms in 100 ms, 20 samples; the goal is 40% of all accesses, that is 8 samples of each byte.
class IntervalsTuningTest : public testing::Test {
 protected:
  IntervalsTuningTest() {
    context_->attrs.intervals_goal = {
        .access_bp = 4000, .aggrs = 3, .min_sample_us = 1000, .max_sample_us = 1000000};
    // At an aggregation's end.
    context_->schedule.passed = 20;
    context_->schedule.next_aggregation = 20;
  }
  // The sampling interval after a tuning in which every byte was seen `nr_accesses` times.
  uint64_t tuned(uint32_t nr_accesses) {
    target_.clear_regions();
    region_ = &add_region(target_, {pages(0, 10), nr_accesses, 12}, 10);
    tune_intervals(*context_);
    return context_->attrs.sample_us;
  }

  std::unique_ptr<Context> context_ = fake_context();
  Target& target_ = context_->add_target(nullptr);
  Region* region_ = nullptr;
};

TEST_F(IntervalsTuningTest, NoAccessDoublesTheIntervals) {
  EXPECT_EQ(tuned(0), 10000);
  EXPECT_EQ(context_->attrs.aggr_us, 200000);
}

TEST_F(IntervalsTuningTest, HalfTheGoalMakesThemHalfAsLongAgain) {
  EXPECT_EQ(tuned(4), 7500);
  EXPECT_EQ(context_->attrs.aggr_us, 150000);
}

TEST_F(IntervalsTuningTest, MeetingTheGoalChangesNothing) {
  context_->schedule.passed = 25;
  EXPECT_EQ(tuned(8), 5000);
  EXPECT_EQ(context_->attrs.aggr_us, 100000);
  EXPECT_EQ(context_->schedule.next_aggregation, 20) << "no deadline starts anew";
}

// Half over: the loop says half, of which half is done.
TEST_F(IntervalsTuningTest, HalfOverTheGoalShortensThemByAQuarter) {
  EXPECT_EQ(tuned(12), 3750);
  EXPECT_EQ(context_->attrs.aggr_us, 75000);
}

TEST_F(IntervalsTuningTest, TwiceTheGoalHalvesThem) {
  EXPECT_EQ(tuned(16), 2500);
  EXPECT_EQ(context_->attrs.aggr_us, 50000);
}

TEST_F(IntervalsTuningTest, NeverMoreThanHalvesThem) { EXPECT_EQ(tuned(20), 2500); }

// 5,000 of 10,000 pages seen 20 times and 3,000 seen 10 times: 130,000 of a goal of 80,000 is
// 16,250: 10,000 - 6,250 = 3,750, of which half and 5,000 make 6,875: 5,000 * 0.6875 = 3437.5.
TEST_F(IntervalsTuningTest, WeighsRegionsBySizeOverAllTargets) {
  add_region(target_, {pages(0, 5000), 20, 0});
  Target& other = context_->add_target(nullptr);
  add_region(other, {pages(0, 3000), 10, 0});
  add_region(other, {pages(3000, 5000), 0, 0});
  tune_intervals(*context_);
  EXPECT_EQ(context_->attrs.sample_us, 3437);
  EXPECT_EQ(context_->attrs.aggr_us, 3437 * 20);
}

TEST_F(IntervalsTuningTest, OnlyTheFinishedAggregationCounts) {
  add_region(target_, {pages(0, 10), 8, 0}, 20);
  tune_intervals(*context_);
  EXPECT_EQ(context_->attrs.sample_us, 5000);
}

TEST_F(IntervalsTuningTest, StaysBelowTheLongestInterval) {
  context_->attrs.intervals_goal.max_sample_us = 7000;
  EXPECT_EQ(tuned(0), 7000);
  EXPECT_EQ(context_->attrs.aggr_us, 140000);
}

TEST_F(IntervalsTuningTest, StaysAboveTheShortestInterval) {
  context_->attrs.intervals_goal.min_sample_us = 4000;
  EXPECT_EQ(tuned(20), 4000);
  EXPECT_EQ(context_->attrs.aggr_us, 80000);
}

TEST_F(IntervalsTuningTest, ConvertsCountsAndAges) {
  tuned(4);
  EXPECT_EQ(region_->nr_accesses, 4) << "as many samples as before";
  EXPECT_EQ(region_->last_nr_accesses, 10);
  EXPECT_EQ(region_->age, 8) << "12 * 100 ms are 8 * 150 ms";
}

TEST_F(IntervalsTuningTest, KeepsTheSamplesOfTheUsersAggregation) {
  context_->aggr_samples = 7;
  EXPECT_EQ(tuned(0), 10000);
  EXPECT_EQ(context_->attrs.aggr_us, 70000);
}

// A goal of nothing is met by a single access and exceeded without bound by more.
TEST_F(IntervalsTuningTest, GoalOfNothing) {
  context_->attrs.intervals_goal.access_bp = 0;
  EXPECT_EQ(tuned(1), 2500);
  EXPECT_EQ(tuned(0), 5000);
}

TEST_F(IntervalsTuningTest, HugeSpacesDoNotOverflowTheScore) {
  context_->attrs.intervals_goal.access_bp = 0;
  // 2^60 bytes * 16 * 10,000 is 0 modulo 2^64.
  add_region(target_, {0, uint64_t{1} << 60}, 16);
  target_.regions().front().nr_accesses = 16;
  tune_intervals(*context_);
  EXPECT_EQ(context_->attrs.sample_us, 2500);
}

TEST_F(IntervalsTuningTest, NothingToWatchIsNoAccess) {
  tune_intervals(*context_);
  EXPECT_EQ(context_->attrs.sample_us, 10000);
}

// Memory of which each page is accessed once in `period_us`: the longer the sampling interval, the
// more samples find an access. The shares are met exactly, in turns.
class SteadyPattern {
 public:
  explicit SteadyPattern(uint64_t period_us) : period_us_(period_us) {}
  bool accessed(uint64_t sample_us) {
    due_us_ += std::min(sample_us, period_us_);
    if (due_us_ < period_us_) return false;
    due_us_ -= period_us_;
    return true;
  }

 private:
  const uint64_t period_us_;
  uint64_t due_us_ = 0;
};

// Runs the loop over a steady pattern for `nr_aggregations`; the sampling interval at each end.
std::vector<uint64_t> tune_over(Context& context, uint64_t period_us, int nr_aggregations) {
  SteadyPattern pattern(period_us);
  fake_of(context).accessed = [&](const Sample&) {
    return pattern.accessed(context.attrs.sample_us);
  };
  VirtualClock clock;
  RequestQueue requests;
  KdamondLoop loop(context, clock, requests);
  loop.start();
  std::vector<uint64_t> sample_us;
  while (sample_us.size() < static_cast<size_t>(nr_aggregations)) {
    const uint64_t end = context.schedule.next_aggregation;
    EXPECT_TRUE(loop.run_once({}));
    if (context.schedule.passed >= end) sample_us.push_back(context.attrs.sample_us);
  }
  return sample_us;
}

std::unique_ptr<Context> tuned_context(uint64_t sample_us) {
  auto context = fake_context();
  context->attrs.sample_us = sample_us;
  context->attrs.aggr_us = 20 * sample_us;
  // All regions are of one size and stay so: each sample weighs the same.
  context->attrs.min_nr_regions = 300;
  context->attrs.max_nr_regions = 300;
  context->attrs.intervals_goal = {
      .access_bp = 400, .aggrs = 3, .min_sample_us = 1000, .max_sample_us = 10000000};
  context->add_target(nullptr).add_region(pages(0, 100000));
  return context;
}

class TuningConverges : public testing::TestWithParam<uint64_t> {};

// Each page once a second: 40 ms show 4% of what could be seen.
TEST_P(TuningConverges, OnASteadyPattern) {
  const auto context = tuned_context(GetParam());
  const std::vector<uint64_t> sample_us = tune_over(*context, 1000000, 120);
  for (size_t i = 60; i < sample_us.size(); ++i) {
    EXPECT_GE(sample_us[i], 39000) << "aggregation " << i;
    EXPECT_LE(sample_us[i], 41000) << "aggregation " << i;
  }
  EXPECT_EQ(context->attrs.aggr_us, 20 * context->attrs.sample_us);
}

INSTANTIATE_TEST_SUITE_P(FromBothSides, TuningConverges, testing::Values(1000, 5000, 1000000));

TEST(IntervalsTuning, HappensEveryThirdAggregation) {
  const auto context = tuned_context(5000);
  fake_of(*context).accessed = [](const Sample&) { return false; };
  const std::vector<uint64_t> sample_us = tune_over(*context, UINT64_MAX, 10);
  EXPECT_EQ(sample_us, (std::vector<uint64_t>{5000, 5000, 10000, 10000, 10000, 20000, 20000, 20000,
                                              40000, 40000}));
}

TEST(IntervalsTuning, IsOffWithoutAggregations) {
  const auto context = tuned_context(5000);
  context->attrs.intervals_goal.aggrs = 0;
  const std::vector<uint64_t> sample_us = tune_over(*context, UINT64_MAX, 10);
  EXPECT_EQ(sample_us, std::vector<uint64_t>(10, 5000));
}

}  // namespace
}  // namespace damonfs
