#include "fs/client/snapshot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace damonfs {
namespace {

using testing::ElementsAre;

Snapshot snapshot_of(std::vector<RegionView> regions) {
  Snapshot snapshot;
  snapshot.pid = 7;
  snapshot.time = 1700000000.25;
  snapshot.monotonic = 77.5;
  snapshot.elapsed = 1.5;
  snapshot.regions = std::move(regions);
  return snapshot;
}

TEST(SnapshotSums, AddUpWatchedAccessedAndHotBytes) {
  const auto sums = sums_of(snapshot_of(
      {{{0, 100}, 0, 9}, {{100, 150}, 9, 3}, {{150, 170}, 10, 2}, {{170, 175}, 20, 1}}));
  EXPECT_EQ(sums.watched, 175u);
  EXPECT_EQ(sums.accessed, 75u);
  EXPECT_EQ(sums.hot, 25u);
  EXPECT_EQ(sums.hottest.range, (AddrRange{170, 175}));
}

TEST(SnapshotSums, TheHottestIsTheLongestRunOfEqualNeighbours) {
  const auto sums = sums_of(snapshot_of({{{0, 10}, 20, 5},
                                         {{10, 20}, 19, 5},
                                         {{20, 28}, 20, 7},
                                         {{28, 36}, 20, 3},
                                         {{40, 50}, 20, 9}}));
  EXPECT_EQ(sums.hottest.range, (AddrRange{20, 36}));
  EXPECT_EQ(sums.hottest.age, 3u);
  EXPECT_EQ(sums_of(snapshot_of({{{0, 10}, 0, 5}})).hottest.range.size(), 0u);
}

TEST(Snapshot, ShownRangesJoinNeighbours) {
  const auto snapshot = snapshot_of({{{0, 10}, 0, 0}, {{10, 20}, 5, 0}, {{30, 40}, 0, 0}});
  EXPECT_THAT(shown_ranges(snapshot), ElementsAre(AddrRange{0, 20}, AddrRange{30, 40}));
}

TEST(Snapshot, ShownRangesAreWhatIsMapped) {
  auto snapshot = snapshot_of({{{0, 1000}, 0, 0}});
  snapshot.mapped = {{100, 200}, {200, 250}, {900, 2000}};
  EXPECT_THAT(shown_ranges(snapshot), ElementsAre(AddrRange{100, 250}, AddrRange{900, 1000}));
}

TEST(SnapshotJson, HasTimePidAttributesAndRegions) {
  const std::string line = to_json(snapshot_of({{{0x7f0000000000, 0x7f0000001000}, 12, 3}}));
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const auto json = nlohmann::json::parse(line);
  EXPECT_EQ(json["time"], 1700000000.25);
  EXPECT_EQ(json["monotonic"], 77.5);
  EXPECT_EQ(json["elapsed"], 1.5);
  EXPECT_EQ(json["pid"], 7);
  EXPECT_EQ(json["samples_per_aggregation"], 20);
  EXPECT_EQ(json["attrs"], nlohmann::json({{"sample_us", 5000},
                                           {"aggr_us", 100000},
                                           {"update_us", 60000000},
                                           {"min_nr_regions", 10},
                                           {"max_nr_regions", 1000}}));
  EXPECT_EQ(json["settled"], true);
  EXPECT_EQ(json["unknown_bytes"], 0);
  EXPECT_EQ(
      json["regions"],
      nlohmann::json::array(
          {{{"start", 0x7f0000000000}, {"end", 0x7f0000001000}, {"nr_accesses", 12}, {"age", 3}}}));
}

TEST(SnapshotJson, SaysWhatIsUnknownAndNotSettled) {
  auto snapshot = snapshot_of({{{0, 4096}, 0, 3, true}});
  snapshot.trust = Trust::tuning;
  snapshot.unknown_bytes = 4096;
  const auto json = nlohmann::json::parse(to_json(snapshot));
  EXPECT_EQ(json["settled"], false);
  EXPECT_EQ(json["unknown_bytes"], 4096);
  EXPECT_EQ(json["regions"][0]["unknown"], true);
}

TEST(SnapshotJson, WithoutRegionsHasAnEmptyList) {
  EXPECT_EQ(nlohmann::json::parse(to_json(snapshot_of({})))["regions"], nlohmann::json::array());
}

}  // namespace
}  // namespace damonfs
