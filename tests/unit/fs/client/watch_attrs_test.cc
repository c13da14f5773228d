#include "fs/client/watch_attrs.h"

#include <gtest/gtest.h>

namespace damonfs {
namespace {

constexpr uint64_t kMillisecond = 1'000'000;

TEST(WatchAttrs, AreTunedByDefault) {
  const MonitoringAttrs attrs = watch_attrs({});
  EXPECT_EQ(attrs.sample_us, 5000U);
  EXPECT_EQ(attrs.aggr_us, 100000U);
  EXPECT_EQ(attrs.intervals_goal, (IntervalsGoal{400, 2, 5000, 50000}));
  EXPECT_TRUE(attrs.validate());
}

TEST(WatchAttrs, AnAggregationIsNoLongerThanALongRow) {
  WatchOptions options;
  options.interval = 60;
  EXPECT_EQ(watch_attrs(options).intervals_goal.max_sample_us, 3'000'000U);
}

TEST(WatchAttrs, OptionsFixTheIntervals) {
  WatchOptions options;
  options.sample_ns = 10 * kMillisecond;
  MonitoringAttrs attrs = watch_attrs(options);
  EXPECT_EQ(attrs.sample_us, 10000U);
  EXPECT_EQ(attrs.aggr_us, 200000U);
  EXPECT_EQ(attrs.intervals_goal, IntervalsGoal{});
  options = {};
  options.aggr_ns = 40 * kMillisecond;
  attrs = watch_attrs(options);
  EXPECT_EQ(attrs.sample_us, 2000U);
  EXPECT_EQ(attrs.aggr_us, 40000U);
  options.sample_ns = 20 * kMillisecond;
  EXPECT_EQ(watch_attrs(options).max_nr_accesses(), 2U);
  EXPECT_TRUE(check_watch_attrs(options));
}

TEST(WatchAttrs, IntervalsThatCannotBeAreRefused) {
  WatchOptions options;
  options.sample_ns = 20 * kMillisecond;
  options.aggr_ns = 10 * kMillisecond;
  EXPECT_FALSE(check_watch_attrs(options));
  options.sample_ns = 10;
  options.aggr_ns = 0;
  EXPECT_FALSE(check_watch_attrs(options));
}

}  // namespace
}  // namespace damonfs
