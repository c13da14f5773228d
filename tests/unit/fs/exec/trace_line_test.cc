#include "fs/exec/trace_line.h"

#include <gmock/gmock.h>

#include <string>

namespace damonfs {
namespace {

constexpr const char* kLine =
    "       kdamond.0-22075   [001] ..... 6179.470511123: damon_aggregated: target_id=0 "
    "nr_regions=12 4096-8192: 0 1";

TEST(TraceLine, ScriptHasTheLineOfPerf) {
  EXPECT_EQ(script_line(kLine, false),
            "       kdamond.0   22075 [001] 6179.470511: damon:damon_aggregated: target_id=0 "
            "nr_regions=12 4096-8192: 0 1");
  EXPECT_EQ(script_line(kLine, true),
            "       kdamond.0   22075 [001] 6179.470511123: damon:damon_aggregated: target_id=0 "
            "nr_regions=12 4096-8192: 0 1");
}

TEST(TraceLine, TraceHasMillisecondsSinceTheFirst) {
  uint64_t start_ns = 0;
  EXPECT_EQ(
      live_line(kLine, start_ns),
      "     0.000 kdamond.0/22075 damon:damon_aggregated(target_id=0 nr_regions=12 4096-8192: "
      "0 1)");
  std::string later = kLine;
  later.replace(later.find("6179.4705"), 9, "6179.4825");
  EXPECT_THAT(*live_line(later, start_ns), testing::StartsWith("    12.000 kdamond.0/22075 "));
}

TEST(TraceLine, WhatIsNoEventIsLeftOut) {
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
