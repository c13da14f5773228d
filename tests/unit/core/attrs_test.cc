#include "core/attrs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

namespace damonfs {
namespace {

using testing::HasSubstr;

TEST(MonitoringAttrs, DefaultsAreTheKernels) {
  const MonitoringAttrs attrs;
  EXPECT_EQ(attrs.sample_us, 5000);
  EXPECT_EQ(attrs.aggr_us, 100000);
  EXPECT_EQ(attrs.update_us, 60000000);
  EXPECT_EQ(attrs.min_nr_regions, 10);
  EXPECT_EQ(attrs.max_nr_regions, 1000);
  EXPECT_EQ(attrs.intervals_goal, IntervalsGoal());
  EXPECT_TRUE(attrs.validate());
}

struct Samples {
  uint64_t sample_us;
  uint64_t aggr_us;
  uint32_t max_nr_accesses;
};

class MaxNrAccesses : public testing::TestWithParam<Samples> {};

TEST_P(MaxNrAccesses, IsTheNumberOfSamplesInAnAggregation) {
  const auto [sample_us, aggr_us, max_nr_accesses] = GetParam();
  const MonitoringAttrs attrs{.sample_us = sample_us, .aggr_us = aggr_us, .intervals_goal = {}};
  EXPECT_EQ(attrs.max_nr_accesses(), max_nr_accesses);
}

INSTANTIATE_TEST_SUITE_P(Rules, MaxNrAccesses,
                         testing::Values(Samples{5000, 100000, 20}, Samples{3000, 10000, 3},
                                         Samples{5000, 5000, 1}, Samples{0, 100, 100},
                                         Samples{0, 0, 1}, Samples{10, 5, 1},
                                         Samples{1, UINT64_MAX, UINT32_MAX}));

std::string complaint(const MonitoringAttrs& attrs) {
  const auto valid = attrs.validate();
  if (valid) return "none";
  EXPECT_EQ(valid.error().code, EINVAL);
  return valid.error().message;
}

TEST(MonitoringAttrs, NeedsThreeRegions) {
  MonitoringAttrs attrs;
  attrs.min_nr_regions = 3;
  EXPECT_EQ(complaint(attrs), "none");
  attrs.min_nr_regions = 2;
  EXPECT_THAT(complaint(attrs), HasSubstr("below 3"));
}

TEST(MonitoringAttrs, NeedsMaxRegionsNotBelowMin) {
  MonitoringAttrs attrs;
  attrs.min_nr_regions = 1000;
  EXPECT_EQ(complaint(attrs), "none");
  attrs.min_nr_regions = 1001;
  EXPECT_THAT(complaint(attrs), HasSubstr("above max"));
}

TEST(MonitoringAttrs, NeedsSamplingNotLongerThanAggregation) {
  MonitoringAttrs attrs;
  attrs.sample_us = 100000;
  EXPECT_EQ(complaint(attrs), "none");
  attrs.sample_us = 100001;
  EXPECT_THAT(complaint(attrs), HasSubstr("longer than aggregation"));
}

TEST(MonitoringAttrs, ZeroIntervals) {
  MonitoringAttrs attrs;
  attrs.sample_us = 0;
  EXPECT_EQ(complaint(attrs), "none");
  attrs.aggr_us = 0;
  EXPECT_EQ(complaint(attrs), "none");
  attrs.sample_us = 1;
  EXPECT_THAT(complaint(attrs), HasSubstr("longer than aggregation"));
}

TEST(MonitoringAttrs, NeverChecksTheUpdateInterval) {
  MonitoringAttrs attrs;
  attrs.update_us = 0;
  EXPECT_EQ(complaint(attrs), "none");
  attrs.update_us = UINT64_MAX;
  EXPECT_EQ(complaint(attrs), "none");
}

TEST(MonitoringAttrs, GoalMustHoldTheSamplingInterval) {
  MonitoringAttrs attrs;
  attrs.intervals_goal = {
      .access_bp = 400, .aggrs = 3, .min_sample_us = 5000, .max_sample_us = 5000};
  EXPECT_EQ(complaint(attrs), "none");
  attrs.sample_us = 4999;
  EXPECT_THAT(complaint(attrs), HasSubstr("outside"));
  attrs.sample_us = 5001;
  EXPECT_THAT(complaint(attrs), HasSubstr("outside"));
  attrs.sample_us = 5000;
  attrs.intervals_goal.min_sample_us = 5001;
  EXPECT_THAT(complaint(attrs), HasSubstr("above max_sample_us"));
}

TEST(MonitoringAttrs, GoalThatIsOffIsNotChecked) {
  MonitoringAttrs attrs;
  attrs.intervals_goal = {.access_bp = 400, .aggrs = 0, .min_sample_us = 9, .max_sample_us = 1};
  EXPECT_EQ(complaint(attrs), "none");
}

// All is wrong; one after the other is put right.
TEST(MonitoringAttrs, ComplainsInTheKernelsOrder) {
  MonitoringAttrs attrs{
      .sample_us = 200000,
      .aggr_us = 100000,
      .intervals_goal = {.access_bp = 400, .aggrs = 1, .min_sample_us = 2, .max_sample_us = 1},
      .min_nr_regions = 2,
      .max_nr_regions = 1};
  EXPECT_THAT(complaint(attrs), HasSubstr("above max_sample_us"));
  attrs.intervals_goal.max_sample_us = 2;
  EXPECT_THAT(complaint(attrs), HasSubstr("outside"));
  attrs.intervals_goal.aggrs = 0;
  EXPECT_THAT(complaint(attrs), HasSubstr("below 3"));
  attrs.min_nr_regions = 3;
  EXPECT_THAT(complaint(attrs), HasSubstr("above max"));
  attrs.max_nr_regions = 3;
  EXPECT_THAT(complaint(attrs), HasSubstr("longer than aggregation"));
  attrs.aggr_us = 200000;
  EXPECT_EQ(complaint(attrs), "none");
}

}  // namespace
}  // namespace damonfs
