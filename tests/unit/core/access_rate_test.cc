#include "core/access_rate.h"

#include <gtest/gtest.h>

#include "tests/unit/core/fake_operations.h"

namespace damonfs {
namespace {

MonitoringAttrs intervals(uint64_t sample_us, uint64_t aggr_us) {
  return {.sample_us = sample_us, .aggr_us = aggr_us, .intervals_goal = {}};
}

Region region_with(uint32_t nr_accesses, uint32_t last_nr_accesses, uint32_t age) {
  Region region(pages(0, 1));
  region.nr_accesses = nr_accesses;
  region.last_nr_accesses = last_nr_accesses;
  region.age = age;
  return region;
}

TEST(RescaleRegion, KeepsTheShareOfSamples) {
  Region region = region_with(20, 5, 0);
  rescale_region(region, intervals(5000, 100000), intervals(1000, 100000), false);
  EXPECT_EQ(region.nr_accesses, 100);
  EXPECT_EQ(region.last_nr_accesses, 25);
}

TEST(RescaleRegion, RoundsDownTwice) {
  // 2 of 3 are 6,666 of 10,000, and those of 9 are 5.9994.
  Region region = region_with(2, 1, 0);
  rescale_region(region, intervals(1000, 3000), intervals(1000, 9000), false);
  EXPECT_EQ(region.nr_accesses, 5);
  EXPECT_EQ(region.last_nr_accesses, 2);
}

TEST(RescaleRegion, KeepsTheTimeThatAgeStandsFor) {
  Region region = region_with(0, 0, 7);
  rescale_region(region, intervals(5000, 100000), intervals(5000, 200000), false);
  EXPECT_EQ(region.age, 3);
  rescale_region(region, intervals(5000, 200000), intervals(5000, 50000), false);
  EXPECT_EQ(region.age, 12);
}

TEST(RescaleRegion, DropsWhatARunningAggregationCounted) {
  Region region = region_with(20, 5, 10);
  rescale_region(region, intervals(5000, 100000), intervals(5000, 50000), true);
  EXPECT_EQ(region.nr_accesses, 0);
  EXPECT_EQ(region.last_nr_accesses, 2);
  EXPECT_EQ(region.age, 20);
}

TEST(RescaleRegion, WhatWasUnknownStaysSo) {
  Region region = region_with(0, 0, 0);
  region.unknown = region.last_unknown = true;
  rescale_region(region, intervals(1000, 100000), intervals(100000, 100000), true);
  EXPECT_FALSE(region.unknown);
  EXPECT_TRUE(region.last_unknown);
}

TEST(RescaleRegion, SameIntervalsChangeNothing) {
  for (uint32_t count = 0; count <= 20; ++count) {
    Region region = region_with(count, 20 - count, count);
    rescale_region(region, intervals(5000, 100000), intervals(5000, 100000), false);
    EXPECT_EQ(region.nr_accesses, count);
    EXPECT_EQ(region.last_nr_accesses, 20 - count);
    EXPECT_EQ(region.age, count);
  }
}

TEST(RescaleRegion, ForgivesIntervalsOfZero) {
  const MonitoringAttrs usual = intervals(5000, 100000);
  for (const MonitoringAttrs& zero : {intervals(0, 100000), intervals(5000, 0), intervals(0, 0)}) {
    for (const bool aggregating : {false, true}) {
      Region region = region_with(3, 4, 5);
      rescale_region(region, usual, zero, aggregating);
      rescale_region(region, zero, usual, aggregating);
      EXPECT_EQ(region.nr_accesses, 3);
      EXPECT_EQ(region.last_nr_accesses, 4);
      EXPECT_EQ(region.age, 5);
    }
  }
}

TEST(RescaleRegion, NeverExceedsTheNewSamples) {
  for (uint64_t samples = 1; samples <= 60; ++samples) {
    Region region = region_with(20, 20, 0);
    const MonitoringAttrs to = intervals(1000, samples * 1000);
    rescale_region(region, intervals(5000, 100000), to, false);
    EXPECT_EQ(region.nr_accesses, samples);
    EXPECT_EQ(region.last_nr_accesses, samples);
  }
}

}  // namespace
}  // namespace damonfs
