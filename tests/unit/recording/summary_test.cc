// What a record amounts to.
#include "recording/summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "recording/heat_grid.h"
#include "tests/unit/recording/frames.h"

namespace damonfs::test {
namespace {

constexpr uint64_t kMib = 1 << 20;
constexpr uint64_t kSecond = 1'000'000;
constexpr uint64_t kStart = 1'700'000'000 * kSecond;

RecordSummary summary_of(const std::vector<RecordFrame>& frames) {
  SummaryBuilder builder(frames.front().snapshots.front().time_us,
                         frames.back().snapshots.back().time_us);
  for (const RecordFrame& frame : frames) builder.add(frame);
  return builder.finish();
}

const NameSummary& named(const RecordSummary& summary, const std::string& name) {
  for (const NameSummary& each : summary.names) {
    if (each.name.name == name) return each;
  }
  throw std::runtime_error("no " + name);
}

TEST(SummaryTest, TellsHotFromCold) {
  const RecordSummary summary = summary_of({frame_of(kStart, 30)});
  EXPECT_EQ(summary.nr_snapshots, 30);
  EXPECT_EQ(summary.last_us - summary.first_us, 29 * kSecond);
  const NameSummary& heap = named(summary, "[heap]");
  EXPECT_EQ(heap.mapped, 4 * kMib);
  EXPECT_EQ(heap.last.hot, kMib);
  EXPECT_EQ(heap.last.warm, 0);
  // Idle for 100 s when the record began, by its age.
  EXPECT_EQ(heap.last.cold[1], 3 * kMib);
  EXPECT_EQ(heap.last.total(), 4 * kMib);
  EXPECT_EQ(heap.untouched, 3 * kMib);
  EXPECT_EQ(heap.mean.hot, kMib);
  // Half of the library is in memory.
  EXPECT_EQ(named(summary, "/lib/libc.so").last.total(), kMib / 2);
  EXPECT_EQ(summary.points.back().accessed, kMib);
  EXPECT_EQ(summary.points.back().resident, 4 * kMib + kMib / 2);
}

TEST(SummaryTest, AnAccessThatIsOverIsWarmThenCold) {
  RecordFrame frame = frame_of(kStart, 100);
  // The second MiB of the heap was accessed in one snapshot only.
  for (size_t i = 0; i < frame.snapshots.size(); ++i) {
    auto& regions = frame.snapshots[i].targets[0].regions;
    regions[1].range.start = 0x300000;
    const bool accessed = i == 50;
    const auto age = static_cast<uint32_t>(i < 50 ? 1000 + 10 * i : 10 * (i - 50));
    regions.insert(regions.begin() + 1, {{0x200000, 0x300000}, accessed ? 1U : 0U, age, {}});
  }
  const auto until = [&](size_t nr) {
    RecordFrame part = frame;
    part.snapshots.resize(nr);
    return named(summary_of({part}), "[heap]").last;
  };
  EXPECT_EQ(until(51).warm, kMib);
  EXPECT_EQ(until(56).warm, kMib);
  EXPECT_EQ(until(56).hot, kMib);
  EXPECT_EQ(until(65).warm, 0);
  EXPECT_EQ(until(65).cold[0], kMib);
  EXPECT_EQ(until(50).cold[1], 3 * kMib);
}

TEST(SummaryTest, TellsWhatReclaimWouldHaveBroughtBack) {
  RecordFrame frame = frame_of(kStart, 100);
  // A MiB that is accessed each 40 s.
  for (size_t i = 0; i < frame.snapshots.size(); ++i) {
    auto& regions = frame.snapshots[i].targets[0].regions;
    regions[1].range.start = 0x300000;
    const bool accessed = i % 40 == 0;
    const auto age = static_cast<uint32_t>(10 * (i % 40));
    regions.insert(regions.begin() + 1, {{0x200000, 0x300000}, accessed ? 1U : 0U, age, {}});
  }
  const RecordSummary summary = summary_of({frame});
  ASSERT_EQ(summary.reclaim.size(), 2);  // half of 99 s
  EXPECT_EQ(summary.reclaim[0].age_us, 10 * kSecond);
  EXPECT_EQ(summary.reclaim[0].came_back_bytes, 2 * kMib);
  EXPECT_EQ(summary.reclaim[1].age_us, 30 * kSecond);
  EXPECT_EQ(summary.reclaim[1].came_back_bytes, 2 * kMib);
  EXPECT_EQ(summary.safe_reclaim(), nullptr);
  const RecordSummary calm = summary_of({frame_of(kStart, 100)});
  ASSERT_NE(calm.safe_reclaim(), nullptr);
  EXPECT_EQ(calm.safe_reclaim()->age_us, 10 * kSecond);
  EXPECT_EQ(calm.safe_reclaim()->mean_bytes, 3 * kMib + kMib / 2);
}

TEST(SummaryTest, SharedMemoryIsCountedOnce) {
  RecordFrame frame = frame_of(kStart, 3);
  // A second process has the library, at another address, and half of it hot.
  frame.targets.push_back({8, 43, "worker", "start"});
  frame.mappings.push_back({1, 0, {{{0x900000, 0xA00000}, 1, 0x100000, "8:1", 0x1000}}});
  for (RecordedSnapshot& snapshot : frame.snapshots) {
    snapshot.targets.push_back(
        {1, {{{0x900000, 0x980000}, 20, 5, {}}, {{0x980000, 0xA00000}, 0, 1000, {}}}});
  }
  const RecordSummary summary = summary_of({frame});
  const NameSummary& library = named(summary, "/lib/libc.so");
  EXPECT_EQ(library.mapped, kMib);
  EXPECT_EQ(library.last.hot, kMib / 2);
  EXPECT_EQ(summary.targets.size(), 2);
}

TEST(SummaryTest, SharedMemoryIsThereWhenAnyProcessHasIt) {
  RecordFrame frame = frame_of(kStart, 3);
  // The first has half of the library in memory; the second has been looked at later, and all of it
  // is.
  frame.targets.push_back({8, 43, "worker", "start"});
  frame.mappings.push_back({1, 0, {{{0x900000, 0xA00000}, 1, 0x100000, "8:1", 0x1000}}});
  const auto bytes = [&] { return named(summary_of({frame}), "/lib/libc.so").last.total(); };
  EXPECT_EQ(bytes(), kMib / 2) << "one that is not there any more tells nothing";
  for (RecordedSnapshot& snapshot : frame.snapshots) {
    snapshot.targets.push_back({1, {{{0x900000, 0xA00000}, 0, 1000, {}}}});
  }
  EXPECT_EQ(bytes(), kMib);
}

TEST(SummaryTest, NoMoreIsHotThanIsInMemory) {
  RecordFrame frame = frame_of(kStart, 3);
  // A region is wider than what is there of it.
  frame.mappings[0].mappings[0].resident = kMib / 4;
  const RecordSummary summary = summary_of({frame});
  const NameSummary& heap = named(summary, "[heap]");
  EXPECT_EQ(heap.last.hot, kMib / 4);
  EXPECT_EQ(heap.last.total(), kMib / 4);
  EXPECT_EQ(summary.points.back().accessed, kMib / 4);
  EXPECT_EQ(summary.points.back().within_10s, kMib / 4);
}

TEST(SummaryTest, WhatCannotBeToldIsNeverCold) {
  RecordFrame frame = frame_of(kStart, 30);
  for (RecordedSnapshot& snapshot : frame.snapshots) {
    snapshot.targets[0].regions[1].swept = SweptState::unknown;
  }
  const NameSummary heap = named(summary_of({frame}), "[heap]");
  EXPECT_EQ(heap.last.unknown, 3 * kMib);
  EXPECT_EQ(heap.last.all_cold(), 0);
  EXPECT_EQ(heap.untouched, 0);
}

TEST(SummaryTest, WhatIsUnmappedIsGone) {
  const RecordFrame first = frame_of(kStart, 3);
  RecordFrame second = frame_of(kStart + 3 * kSecond, 3);
  second.mappings[0].mappings.erase(second.mappings[0].mappings.begin());
  const RecordSummary summary = summary_of({first, second});
  EXPECT_EQ(named(summary, "[heap]").last.total(), 0);
  EXPECT_EQ(named(summary, "[heap]").mapped, 0);
  EXPECT_GT(named(summary, "[heap]").mean.total(), 0);
}

TEST(PercentileTest, IsTheNearestRank) {
  EXPECT_EQ(percentile({}, 50), 0);
  EXPECT_EQ(percentile({3, 1, 2}, 0), 1);
  EXPECT_EQ(percentile({3, 1, 2}, 50), 2);
  EXPECT_EQ(percentile({3, 1, 2, 4}, 75), 3);
  EXPECT_EQ(percentile({3, 1, 2}, 100), 3);
}

TEST(HeatGridTest, DrawsWhatWasRecorded) {
  const RecordFrame frame = frame_of(kStart, 20);
  const RecordSummary summary = summary_of({frame});
  HeatGrid grid(summary.targets[0], summary.first_us, summary.last_us, 40, 10);
  grid.add(frame);
  ASSERT_EQ(grid.nr_columns(), 10);
  EXPECT_EQ(grid.column_start_us(0), summary.first_us);
  uint64_t end = 0;
  for (size_t row = 0; row < grid.rows().size(); ++row) {
    const GridRow& each = grid.rows()[row];
    EXPECT_GE(each.range.start, end);
    end = each.range.end;
    EXPECT_EQ(each.name, each.range.start < 0x700000 ? "[heap]" : "/lib/libc.so");
    for (size_t column = 0; column < 10; ++column) {
      const HeatGrid::Cell cell = grid.cell(row, column);
      ASSERT_TRUE(cell.watched) << row << " " << column;
      EXPECT_EQ(cell.heat, each.range.end <= 0x200000 ? 1 : 0) << row;
      EXPECT_GE(cell.idle_us, cell.heat == 0 ? 100 * kSecond : 0);
    }
  }
  EXPECT_EQ(end, 0x800000);
  EXPECT_NEAR(static_cast<double>(grid.rows().size()), 40, 2);
}

}  // namespace
}  // namespace damonfs::test
