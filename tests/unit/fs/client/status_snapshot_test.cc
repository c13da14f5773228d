#include "fs/client/status_snapshot.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <string>

namespace damonfs {
namespace {

const std::string kPath = "kernel/mm/damon/admin/kdamonds/0";

std::string status(const std::string& state, const std::string& contexts) {
  return R"({"schema": 1, "kdamonds": [{"path": "module/damon_stat", "state": "on",
    "contexts": []}, {"path": ")" +
         kPath + R"(", "state": ")" + state + R"(", "contexts": [)" + contexts + "]}]}";
}

const std::string kContext = R"({"monitoring_attrs": {
  "intervals": {"sample_us": 20000, "aggr_us": 400000, "update_us": 1000000,
    "intervals_goal": {"access_bp": 400, "aggrs": 2, "min_sample_us": 5000,
                       "max_sample_us": 100000}},
  "nr_regions": {"min": 10, "max": 1000}},
  "sweep": {"percent": 1, "accessed_bytes": 0, "unknown_bytes": 8192, "passes": 4},
  "targets": [
    {"regions": [{"start": 8192, "end": 12288, "nr_accesses": 3, "age": 2, "swept": "accessed"}]},
    {"regions": [{"start": 0, "end": 8192, "nr_accesses": 0, "age": 9, "swept": "unknown"}]}]})";

TEST(StatusSnapshot, HasRegionsAndTunedIntervals) {
  const auto snapshot = snapshot_of_status(status("on", kContext), kPath);
  ASSERT_TRUE(snapshot) << snapshot.error().message;
  EXPECT_EQ(snapshot->attrs.sample_us, 20000U);
  EXPECT_EQ(snapshot->attrs.aggr_us, 400000U);
  EXPECT_EQ(snapshot->attrs.intervals_goal, (IntervalsGoal{400, 2, 5000, 100000}));
  EXPECT_EQ(snapshot->unknown_bytes, 8192U);
  EXPECT_EQ(snapshot->passes, 4U);
  ASSERT_EQ(snapshot->regions.size(), 2U);
  EXPECT_EQ(snapshot->regions[0].range, (AddrRange{0, 8192}));
  EXPECT_TRUE(snapshot->regions[0].unknown);
  EXPECT_EQ(snapshot->regions[1].nr_accesses, 3U);
  EXPECT_EQ(snapshot->regions[1].age, 2U);
  EXPECT_FALSE(snapshot->regions[1].unknown);
}

int error_of(const std::string& text) {
  const auto snapshot = snapshot_of_status(text, kPath);
  return snapshot ? 0 : snapshot.error().code;
}

TEST(StatusSnapshot, ToldWhyThereIsNone) {
  EXPECT_EQ(error_of(status("busy", "")), EBUSY);
  EXPECT_EQ(error_of(status("off", "")), ECANCELED);
  EXPECT_EQ(error_of(status("on", "")), ECANCELED);
  EXPECT_EQ(error_of(R"({"schema": 1, "kdamonds": []})"), ECANCELED);
  EXPECT_EQ(error_of("no JSON"), EPROTO);
  EXPECT_EQ(error_of(status("on", R"({"targets": 7})")), EPROTO);
}

}  // namespace
}  // namespace damonfs
