#include "fs/exec/perf.h"

#include <gmock/gmock.h>

#include <cstdlib>

namespace damonfs {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr const char* kLine =
    "       kdamond.0-22075   [001] ..... 6179.470511123: damon_aggregated: target_id=0 "
    "nr_regions=12 4096-8192: 0 1";

Result<std::optional<PerfRecord>> parse(std::vector<std::string> words) {
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  return parse_perf_record(pointers);
}

TEST(Perf, UnderstandsWhatDamoAsksFor) {
  const auto wanted = parse({"-a", "-o", "out", "-e", "damon:damon_aggregated", "-e",
                             "damon:damon_monitor_intervals_tune"});
  ASSERT_TRUE(wanted && *wanted);
  EXPECT_EQ((*wanted)->output, "out");
  EXPECT_THAT((*wanted)->events, ElementsAre("damon_aggregated", "damon_monitor_intervals_tune"));
  EXPECT_THAT((*wanted)->command, IsEmpty());
}

TEST(Perf, OptionsMayBeJoinedWithTheirValues) {
  const auto wanted = parse({"--event=damon:a,damon:b", "-oout", "-q", "--", "sleep", "1"});
  ASSERT_TRUE(wanted && *wanted);
  EXPECT_THAT((*wanted)->events, ElementsAre("a", "b"));
  EXPECT_EQ((*wanted)->output, "out");
  EXPECT_TRUE((*wanted)->quiet);
  EXPECT_THAT((*wanted)->command, ElementsAre("sleep", "1"));
}

TEST(Perf, OtherEventsAreNotOurs) {
  const auto none = parse({"-a", "-e", "sched:sched_switch", "-g", "-F", "99"});
  ASSERT_TRUE(none);
  EXPECT_FALSE(*none);
  EXPECT_FALSE(*parse({"-o", "out.profile"}));
  EXPECT_FALSE(*parse({}));
}

TEST(Perf, RefusesWhatItCannotDo) {
  EXPECT_EQ(parse({"-e", "damon:a,cycles"}).error().code, EINVAL);
  EXPECT_EQ(parse({"-e", "damon:a", "-p", "1"}).error().code, EINVAL);
}

TEST(Perf, WithoutOneThereIsNothingToReport) {
  const std::string path = std::getenv("PATH");
  ::setenv("PATH", "/no/such/directory", 1);
  std::string perf = "perf";
  std::string report = "report";
  std::string stat = "stat";
  testing::internal::CaptureStdout();
  EXPECT_EQ(run_perf(std::vector<char*>{perf.data(), report.data()}), 0);
  EXPECT_THAT(testing::internal::GetCapturedStdout(),
              testing::HasSubstr("this machine has no perf"));
  EXPECT_EQ(run_perf(std::vector<char*>{perf.data(), stat.data()}), 127);
  ::setenv("PATH", path.c_str(), 1);
}

TEST(Perf, ScriptHasTheLineOfPerf) {
  EXPECT_EQ(script_line(kLine, false),
            "       kdamond.0   22075 [001] 6179.470511: damon:damon_aggregated: target_id=0 "
            "nr_regions=12 4096-8192: 0 1");
  EXPECT_EQ(script_line(kLine, true),
            "       kdamond.0   22075 [001] 6179.470511123: damon:damon_aggregated: target_id=0 "
            "nr_regions=12 4096-8192: 0 1");
}

TEST(Perf, TraceHasMillisecondsSinceTheFirst) {
  uint64_t start_ns = 0;
  EXPECT_EQ(
      live_line(kLine, start_ns),
      "     0.000 kdamond.0/22075 damon:damon_aggregated(target_id=0 nr_regions=12 4096-8192: "
      "0 1)");
  std::string later = kLine;
  later.replace(later.find("6179.4705"), 9, "6179.4825");
  EXPECT_THAT(*live_line(later, start_ns), testing::StartsWith("    12.000 kdamond.0/22075 "));
}

TEST(Perf, WhatIsNoEventIsLeftOut) {
  for (const char* line : {"", "# damonfs perf recording, version 1", "[LOST 3 EVENTS]", "a-b [c",
                           "a-b [000] ..... 1.0: c"}) {
    EXPECT_EQ(script_line(line, false), std::nullopt) << line;
    uint64_t start_ns = 0;
    EXPECT_EQ(live_line(line, start_ns), std::nullopt) << line;
  }
  EXPECT_EQ(event_of(kLine), "damon_aggregated");
  EXPECT_EQ(event_of("[LOST 3 EVENTS]"), "");
}

}  // namespace
}  // namespace damonfs
