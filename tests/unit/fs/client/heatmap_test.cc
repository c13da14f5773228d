#include "fs/client/heatmap.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/random.h"
#include "tests/unit/units.h"

namespace damonfs {
namespace {

using testing::ElementsAre;

Snapshot sampled(std::vector<RegionView> regions) {
  Snapshot snapshot;
  snapshot.pid = 7;
  snapshot.attrs.sample_us = 5000;
  snapshot.attrs.aggr_us = 100000;  // 20 samples
  snapshot.regions = std::move(regions);
  return snapshot;
}

std::vector<size_t> columns_of(const ColumnLayout& layout) {
  std::vector<size_t> columns;
  for (const auto& segment : layout.segments()) columns.push_back(segment.nr_columns);
  return columns;
}

TEST(ColumnLayout, OneRangeGetsAllColumnsInEqualParts) {
  const std::vector<AddrRange> ranges = {{100 * kMiB, 180 * kMiB}};
  const ColumnLayout layout(ranges, 80);
  ASSERT_EQ(layout.segments().size(), 1u);
  EXPECT_EQ(layout.width(), 80u);
  EXPECT_EQ(layout.segments()[0].column(0), (AddrRange{100 * kMiB, 101 * kMiB}));
  EXPECT_EQ(layout.segments()[0].column(79), (AddrRange{179 * kMiB, 180 * kMiB}));
}

TEST(ColumnLayout, NothingToShowHasNoColumns) {
  const ColumnLayout layout(std::vector<AddrRange>{}, 80);
  EXPECT_EQ(layout.width(), 0u);
  EXPECT_TRUE(cells_of(sampled({}), layout).empty());
}

TEST(ColumnLayout, BigGapsOfThreeRegionsCostOneColumnEach) {
  const std::vector<AddrRange> ranges = {{0x555555554000, 0x555555554000 + kMiB},
                                         {0x7f0000000000, 0x7f0000000000 + 256 * kMiB},
                                         {0x7ffffffde000, 0x7ffffffff000}};
  const ColumnLayout layout(ranges, 80);
  ASSERT_EQ(layout.segments().size(), 3u);
  EXPECT_EQ(layout.width(), 80u);
  EXPECT_THAT(columns_of(layout), ElementsAre(3, 72, 3));
  EXPECT_EQ(layout.segments()[1].first_column, 4u);
  EXPECT_EQ(layout.segments()[2].first_column, 77u);
}

TEST(ColumnLayout, SmallGapsAreDrawnToScale) {
  const std::vector<AddrRange> ranges = {{0, 40 * kMiB}, {40 * kMiB + 4096, 80 * kMiB}};
  EXPECT_EQ(ColumnLayout(ranges, 40).segments().size(), 1u);
}

TEST(ColumnLayout, JoinsOverTheSmallestGapWhereSegmentsWouldGetTooNarrow) {
  std::vector<AddrRange> ranges;
  for (uint64_t i = 0; i < 5; ++i) {
    const uint64_t start = i * 1000 * kMiB - (i == 3 ? 500 * kMiB : 0);
    ranges.push_back({start, start + kMiB});
  }
  const ColumnLayout layout(ranges, 16);
  ASSERT_EQ(layout.segments().size(), 4u);
  EXPECT_EQ(layout.segments()[2].range, (AddrRange{2000 * kMiB, 2501 * kMiB}));
}

TEST(ColumnLayout, CoversWhatLiesWithinItsSegments) {
  const std::vector<AddrRange> ranges = {{0, kMiB}, {1000 * kMiB, 1001 * kMiB}};
  const ColumnLayout layout(ranges, 40);
  EXPECT_TRUE(layout.covers(std::vector<AddrRange>{{4096, 8192}, {1000 * kMiB, 1001 * kMiB}}));
  EXPECT_FALSE(layout.covers(std::vector<AddrRange>{{kMiB - 4096, kMiB + 4096}}));
  EXPECT_FALSE(layout.covers(std::vector<AddrRange>{{500 * kMiB, 501 * kMiB}}));
}

// Whatever the ranges: columns tile their segments, every segment has one, and the width is kept.
TEST(ColumnLayout, HoldsItsInvariantsForAnyRanges) {
  Random random(1);
  for (int round = 0; round < 500; ++round) {
    std::vector<AddrRange> ranges;
    uint64_t addr = 0;
    for (uint64_t i = 0, n = 1 + random.between(0, 30); i < n; ++i) {
      addr += (1 + random.between(0, 1 << 12)) << (12 + random.between(0, 24));
      const uint64_t end =
          addr + ((1 + random.between(0, 1 << 10)) << (12 + random.between(0, 16)));
      ranges.push_back({addr, end});
      addr = end;
    }
    const size_t width = 1 + random.between(0, 200);
    const ColumnLayout layout(ranges, width);
    ASSERT_EQ(layout.width(), width);
    ASSERT_TRUE(layout.covers(ranges));
    for (const auto& segment : layout.segments()) {
      ASSERT_GE(segment.nr_columns, 1u);
      uint64_t at = segment.range.start;
      for (size_t i = 0; i < segment.nr_columns; ++i) {
        ASSERT_EQ(segment.column(i).start, at);
        at = segment.column(i).end;
      }
      ASSERT_EQ(at, segment.range.end);
    }
  }
}

TEST(Cells, AreMeansOfTheBytesWatched) {
  const auto snapshot = sampled({{{0, kMiB}, 20, 0},
                                 {{kMiB, 3 * kMiB / 2}, 10, 0},
                                 {{3 * kMiB / 2, 2 * kMiB}, 0, 0},
                                 {{2 * kMiB, 4 * kMiB}, 0, 0}});
  const ColumnLayout layout(std::vector<AddrRange>{{0, 4 * kMiB}}, 4);
  EXPECT_THAT(cells_of(snapshot, layout), ElementsAre(Cell(1.0), Cell(0.25), Cell(0.0), Cell(0.0)));
}

TEST(Cells, AreEmptyWhereNothingIsWatched) {
  const auto snapshot = sampled({{{kMiB, 3 * kMiB / 2}, 20, 0}});
  const ColumnLayout layout(std::vector<AddrRange>{{0, 3 * kMiB}}, 3);
  EXPECT_THAT(cells_of(snapshot, layout), ElementsAre(Cell(), Cell(1.0), Cell()));
}

TEST(Cells, OfAGapAreEmpty) {
  const auto snapshot = sampled({{{0, kMiB}, 20, 0}, {{99 * kMiB, 100 * kMiB}, 20, 0}});
  const ColumnLayout layout(shown_ranges(snapshot), 7);
  EXPECT_EQ(paint(cells_of(snapshot, layout), Palette::ascii), "@@@ @@@");
}

TEST(HeatLevel, IsRoundedUpSoThatAnyAccessShows) {
  EXPECT_EQ(heat_level(0), 0);
  EXPECT_EQ(heat_level(1e-9), 1);
  EXPECT_EQ(heat_level(0.125), 1);
  EXPECT_EQ(heat_level(0.126), 2);
  EXPECT_EQ(heat_level(1), kHeatLevels);
  EXPECT_EQ(heat_level(2), kHeatLevels);
}

TEST(Paint, AsciiGoesFromDotToAt) {
  std::vector<Cell> cells = {Cell(), 0.0};
  for (int level = 1; level <= kHeatLevels; ++level) cells.emplace_back(level / 8.0);
  EXPECT_EQ(paint(cells, Palette::ascii), " .:-=+*%#@");
}

TEST(Paint, ColourChangesOnlyWhereHeatDoesAndEndsReset) {
  const std::vector<Cell> cells = {0.0, 0.0, 1.0, Cell(), 1.0};
  EXPECT_EQ(paint(cells, Palette::colour),
            "\x1b[48;5;236m  \x1b[48;5;229m \x1b[0m \x1b[48;5;229m \x1b[0m");
}

TEST(Paint, ColouredBarsAreBoth) {
  const std::vector<Cell> cells = {1.0, 1.0, Cell()};
  EXPECT_EQ(paint(cells, Palette::colour_bars), "\x1b[38;5;229;48;5;236m██\x1b[0m ");
}

TEST(Paint, BarsAreEighths) {
  const std::vector<Cell> cells = {0.0, 0.125, 0.5, 1.0};
  EXPECT_EQ(paint(cells, Palette::bars), "·▁▄█");
}

TEST(Describe, NamesSegmentsByLettersOverTheirColumns) {
  const ColumnLayout layout(
      std::vector<AddrRange>{{0x1000, 0x2000}, {0x7f0000000000, 0x7f0000004000}}, 16);
  EXPECT_THAT(describe(layout, 2),
              ElementsAre("A 0x1000-0x2000  4.0 KiB, 1.0 KiB a column",
                          "B 0x7f0000000000-0x7f0000004000  16.0 KiB, 1.5 KiB a column",
                          "  A--- B----------"));
}

TEST(Legend, SaysWhatAMarkIsAShareOf) {
  MonitoringAttrs attrs = sampled({}).attrs;
  EXPECT_EQ(legend(Palette::ascii, attrs),
            ". not accessed, :-=+*%#@ accessed in 1/8 .. 8/8 of the 20 samples taken in 100 ms, ? "
            "unknown");
  attrs.intervals_goal.aggrs = 2;
  EXPECT_EQ(legend(Palette::ascii, attrs),
            ". not accessed, :-=+*%#@ accessed in 1/8 .. 8/8 of 20 samples, ? unknown");
}

TEST(Cells, OfUnknownMemoryAreMarkedUnlessAnythingWasAccessed) {
  const auto snapshot = sampled({{{0, kMiB}, 0, 0, true},
                                 {{kMiB, 2 * kMiB}, 0, 0},
                                 {{2 * kMiB, 3 * kMiB}, 0, 0, true},
                                 {{3 * kMiB, 4 * kMiB}, 20, 0}});
  const ColumnLayout layout(std::vector<AddrRange>{{0, 4 * kMiB}}, 4);
  EXPECT_EQ(paint(cells_of(snapshot, layout), Palette::ascii), "?.?@");
  const ColumnLayout coarse(std::vector<AddrRange>{{0, 4 * kMiB}}, 2);
  EXPECT_EQ(paint(cells_of(snapshot, coarse), Palette::ascii), "?+");
}

TEST(Summary, SaysHowMuchWasAccessedAndForHowLong) {
  const auto lines = summary(sampled({{{0, 48 * kMiB}, 0, 90},
                                      {{48 * kMiB, 64 * kMiB}, 20, 32},
                                      {{64 * kMiB, 100 * kMiB}, 1, 0}}));
  EXPECT_THAT(
      lines, ElementsAre("watched 100.0 MiB in 3 regions",
                         "accessed within 100 ms: 52.0 MiB (52.0%), in half of the samples or "
                         "more: 16.0 MiB",
                         "hottest 0x3000000-0x4000000 (16.0 MiB): 20 of 20 samples, so for 3.2 s"));
}

TEST(Summary, OfAnIdleProcessSaysSo) {
  auto snapshot = sampled({{{0, kMiB}, 0, 1}});
  EXPECT_EQ(summary(snapshot).back(), "nothing was accessed in 5 ms samples");
  snapshot.unknown_bytes = 9 * kMiB;
  EXPECT_EQ(summary(snapshot).back(),
            "nothing was accessed in 5 ms samples; 9.0 MiB could not be looked at");
  EXPECT_EQ(summary(sampled({})).back(), "nothing could be looked at");
  EXPECT_EQ(summary(sampled({})).front(), "watched 0 B in 0 regions");
}

TEST(Summary, SaysThatItIsTooEarly) {
  auto snapshot = sampled({{{0, kMiB}, 0, 1}});
  snapshot.trust = Trust::tuning;
  EXPECT_EQ(summary(snapshot).back(),
            "too early: samples of 5 ms so far, which are still being tuned");
  snapshot.trust = Trust::not_swept;
  EXPECT_EQ(summary(snapshot).back(), "too early: not all memory was looked at twice");
  snapshot.regions[0].nr_accesses = 3;
  EXPECT_EQ(summary(snapshot).back(), "too early: not all memory was looked at twice");
}

TEST(Summary, SaysWhatIsUnknownAndHowLongARowIs) {
  auto snapshot = sampled({{{0, kMiB}, 20, 1}});
  snapshot.unknown_bytes = 9 * kMiB;
  snapshot.row = 2;
  const auto lines = summary(snapshot);
  EXPECT_EQ(lines[1],
            "accessed within 2.0 s: 1.0 MiB (100.0%), in half of the samples or more: 1.0 MiB");
  EXPECT_EQ(lines.back(),
            "unknown 9.0 MiB: shared by several processes, locked, or of a kind that cannot be "
            "made old");
}

TEST(Summary, SaysHowMuchIsMapped) {
  auto snapshot = sampled({{{0, 4 * kMiB}, 0, 1}});
  snapshot.mapped = {{kMiB, 2 * kMiB}};
  EXPECT_EQ(summary(snapshot).front(), "watched 4.0 MiB in 1 regions, 1.0 MiB of it mapped");
}

TEST(Human, SizesAndTimes) {
  EXPECT_EQ(human_size(0), "0 B");
  EXPECT_EQ(human_size(1023), "1023 B");
  EXPECT_EQ(human_size(1536), "1.5 KiB");
  EXPECT_EQ(human_size(kMiB - 1), "1.0 MiB");
  EXPECT_EQ(human_size(UINT64_MAX), "16.0 EiB");
  EXPECT_EQ(human_time(0.1), "100 ms");
  EXPECT_EQ(human_time(2.5), "2.5 s");
  EXPECT_EQ(human_time(200), "3 min 20 s");
  EXPECT_EQ(human_time(7260), "2 h 1 min");
}

}  // namespace
}  // namespace damonfs
