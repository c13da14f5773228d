#include "fs/client/row_peak.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace damonfs {
namespace {

using testing::ElementsAre;

Snapshot peak_input_of(std::vector<RegionView> regions, double elapsed = 0) {
  Snapshot snapshot;
  snapshot.elapsed = elapsed;
  snapshot.regions = std::move(regions);
  return snapshot;
}

MATCHER_P4(IsRegion, start, end, nr_accesses, age, "") {
  return arg.range == AddrRange{static_cast<uint64_t>(start), static_cast<uint64_t>(end)} &&
         arg.nr_accesses == static_cast<uint32_t>(nr_accesses) &&
         arg.age == static_cast<uint32_t>(age);
}

TEST(RowPeak, OneSnapshotStaysAsItIs) {
  RowPeak peak;
  EXPECT_TRUE(peak.empty());
  peak.add(peak_input_of({{{0, 10}, 3, 7}, {{20, 30}, 0, 1}}));
  EXPECT_FALSE(peak.empty());
  EXPECT_THAT(peak.take().regions, ElementsAre(IsRegion(0, 10, 3, 7), IsRegion(20, 30, 0, 1)));
  EXPECT_TRUE(peak.empty());
}

TEST(RowPeak, TheLargestCountStaysAtEachAddress) {
  RowPeak peak;
  peak.add(peak_input_of({{{0, 10}, 0, 1}, {{10, 20}, 9, 1}, {{20, 40}, 2, 1}}, 1));
  peak.add(peak_input_of({{{0, 15}, 4, 2}, {{15, 40}, 3, 2}}, 2));
  const Snapshot row = peak.take();
  EXPECT_EQ(row.elapsed, 2);
  EXPECT_THAT(row.regions,
              ElementsAre(IsRegion(0, 10, 4, 2), IsRegion(10, 20, 9, 2), IsRegion(20, 40, 3, 2)));
}

TEST(RowPeak, WhatIsNotWatchedAnyMoreIsLeftOut) {
  RowPeak peak;
  peak.add(peak_input_of({{{0, 10}, 9, 1}, {{50, 60}, 9, 1}}));
  peak.add(peak_input_of({{{5, 10}, 0, 2}, {{10, 12}, 0, 2}}));
  EXPECT_THAT(peak.take().regions, ElementsAre(IsRegion(5, 10, 9, 2), IsRegion(10, 12, 0, 2)));
}

TEST(RowPeak, BeginsAnewWhereCountsAreOfOtherNumbersOfSamples) {
  RowPeak peak;
  Snapshot other = peak_input_of({{{0, 10}, 100, 1}});
  other.attrs.sample_us = 1000;
  peak.add(other);
  peak.add(peak_input_of({{{0, 10}, 1, 2}}));
  EXPECT_THAT(peak.take().regions, ElementsAre(IsRegion(0, 10, 1, 2)));
}

}  // namespace
}  // namespace damonfs
