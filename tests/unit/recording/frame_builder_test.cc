// How snapshots are gathered into frames, and made small.
#include "recording/frame_builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "recording/join_regions.h"

namespace damonfs::test {
namespace {

using testing::ElementsAre;

TEST(FrameBuilderTest, FramesGrowUpToTheirBound) {
  FrameBuilder builder({.max_us = 8'000'000, .max_bytes = 1 << 20});
  builder.set_head({});
  builder.set_mappings({.id = 3, .pid = 42, .comm = {}, .identity = {}}, {});
  std::vector<size_t> sizes;
  for (uint64_t i = 0; i < 60; ++i) {
    builder.add({.time_us = i * 1'000'000, .nr_aggregations = i, .targets = {{3, {}}}});
    if (builder.full()) sizes.push_back(builder.take().snapshots.size());
  }
  ASSERT_GT(sizes.size(), 4);
  EXPECT_EQ(sizes.front(), 1);
  EXPECT_TRUE(std::is_sorted(sizes.begin(), sizes.end()));
  EXPECT_EQ(sizes.back(), 9);
}

TEST(FrameBuilderTest, BytesBoundAFrame) {
  FrameBuilder builder({.max_us = 60'000'000, .max_bytes = 100});
  builder.set_head({});
  builder.set_mappings({.id = 3, .pid = 42, .comm = {}, .identity = {}}, {});
  builder.add({.time_us = 1, .nr_aggregations = 0, .targets = {}});
  (void)builder.take();
  const std::vector<RecordedRegion> regions(20, RecordedRegion{{0, 4096}, 0, 0, {}});
  builder.add({.time_us = 2, .nr_aggregations = 0, .targets = {{3, regions}}});
  EXPECT_TRUE(builder.full());
}

TEST(FrameBuilderTest, EachFrameHasWhatItNeeds) {
  FrameBuilder builder({.max_us = 60'000'000, .max_bytes = 1 << 20});
  builder.set_head({});
  const uint32_t heap = builder.add_name({"[heap]", "heap"});
  const uint32_t lib = builder.add_name({"lib", "file"});
  EXPECT_EQ(builder.add_name({"[heap]", "heap"}), heap);
  const RecordedTarget target{.id = 3, .pid = 42, .comm = "a", .identity = {}};
  builder.set_mappings(target, {{{0, 4096}, lib, 4096, {}, 0}});
  builder.add({.time_us = 1, .nr_aggregations = 0, .targets = {{3, {}}}});
  (void)builder.take();
  builder.add({.time_us = 2, .nr_aggregations = 0, .targets = {{3, {}}}});
  builder.set_mappings(target, {{{0, 8192}, heap, 4096, {}, 0}});
  builder.add({.time_us = 3, .nr_aggregations = 0, .targets = {{3, {}}}});
  const RecordFrame frame = builder.take();
  ASSERT_EQ(frame.targets.size(), 1);
  EXPECT_EQ(frame.targets[0], target);
  ASSERT_EQ(frame.mappings.size(), 2);
  EXPECT_EQ(frame.mappings[0].from, 0);
  EXPECT_EQ(frame.names[frame.mappings[0].mappings[0].name].name, "lib");
  EXPECT_EQ(frame.mappings[1].from, 1);
  EXPECT_EQ(frame.names[frame.mappings[1].mappings[0].name].name, "[heap]");
  EXPECT_EQ(frame.snapshots[1].targets[0].target, 0);
}

TEST(FrameBuilderTest, AProcessHasTheNameOfWhatItHasBecome) {
  FrameBuilder builder({.max_us = 60'000'000, .max_bytes = 1 << 20});
  builder.set_head({});
  builder.set_mappings({.id = 3, .pid = 42, .comm = "sh", .identity = {}}, {});
  builder.add({.time_us = 1, .nr_aggregations = 0, .targets = {{3, {}}}});
  builder.set_mappings({.id = 3, .pid = 42, .comm = "server", .identity = {}}, {});
  builder.add({.time_us = 2, .nr_aggregations = 0, .targets = {{3, {}}}});
  const RecordFrame frame = builder.take();
  ASSERT_EQ(frame.targets.size(), 1);
  EXPECT_EQ(frame.targets[0].comm, "server");
}

TEST(FrameBuilderTest, OtherAttributesEndAFrame) {
  FrameBuilder builder({.max_us = 60'000'000, .max_bytes = 1 << 20});
  builder.set_head({});
  builder.add({.time_us = 1, .nr_aggregations = 0, .targets = {}});
  (void)builder.take();
  builder.add({.time_us = 2, .nr_aggregations = 0, .targets = {}});
  EXPECT_FALSE(builder.full());
  RecordHead other;
  other.attrs.sample_us = 1;
  builder.set_head(other);
  EXPECT_TRUE(builder.full());
  EXPECT_EQ(builder.take().head.attrs.sample_us, MonitoringAttrs().sample_us);
  builder.add({.time_us = 3, .nr_aggregations = 0, .targets = {}});
  EXPECT_EQ(builder.take().head, other);
}

RecordedRegion region(uint64_t start, uint64_t end, uint32_t nr_accesses, uint32_t age,
                      SweptState swept = SweptState::never) {
  return {{start, end}, nr_accesses, age, swept};
}

TEST(JoinAlikeTest, JoinsWhatDiffersByChance) {
  EXPECT_THAT(join_alike({region(0, 10, 0, 100), region(10, 40, 0, 104)}),
              ElementsAre(region(0, 40, 0, 103)));
  EXPECT_TRUE(join_alike({}).empty());
}

TEST(JoinAlikeTest, KeepsApartWhatDiffers) {
  const std::vector<RecordedRegion> apart = {region(0, 10, 0, 100),
                                             region(10, 20, 1, 100),  // accesses
                                             region(20, 30, 1, 50),   // age
                                             region(40, 50, 1, 50),   // a hole
                                             region(50, 60, 1, 50, SweptState::unknown)};  // sweeps
  EXPECT_EQ(join_alike(apart), apart);
}

TEST(JoinAlikeTest, ManySmallStepsAreNotOne) {
  std::vector<RecordedRegion> steps;
  for (uint32_t i = 0; i < 100; ++i) steps.push_back(region(i, i + 1, 0, 100 + 5 * i));
  const auto joined = join_alike(steps);
  EXPECT_GT(joined.size(), 5);
  EXPECT_LT(joined.size(), 50);
  for (const RecordedRegion& each : joined) {
    const auto middle = static_cast<double>(each.range.start + each.range.end - 1) / 2;
    EXPECT_NEAR(each.age, 100 + 5 * middle, 1);
  }
}

}  // namespace
}  // namespace damonfs::test
