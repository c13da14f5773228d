#include "fs/top/top_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/fs/top/top_fixture.h"

namespace damonfs::test {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

std::vector<std::string> names_of(const TopModel& model) {
  std::vector<std::string> names;
  for (const TopRow& row : model.rows()) names.push_back(row.name);
  return names;
}

TEST(TopRows, ClassesOfAService) {
  const auto rows = rows_of(top_input(), TopGroup::service);
  ASSERT_THAT(rows, SizeIs(2));
  const TopRow& redis = rows[1];
  EXPECT_EQ(redis.name, "redis-server.service");
  EXPECT_EQ(redis.hot, 4 * kTopMiB);
  EXPECT_EQ(redis.warm, 2 * kTopMiB);
  EXPECT_EQ(redis.cold, 10 * kTopMiB);
}

TEST(TopRows, IdleMemoryIsWarmForTenSeconds) {
  TopInput input = top_input();
  input.services[1].processes[0].regions = {top_region(16, 1, 0, 99)};
  EXPECT_EQ(rows_of(input, TopGroup::service)[0].warm, kTopMiB);
  input.services[1].processes[0].regions = {top_region(16, 1, 0, 100)};
  EXPECT_EQ(rows_of(input, TopGroup::service)[0].cold, kTopMiB);
}

TEST(TopRows, WhatWasNeverAccessedIsColdAtOnce) {
  TopInput input = top_input();
  input.watched = 2;
  input.services[1].processes[0].regions = {top_region(16, 1, 0, 19)};
  EXPECT_EQ(rows_of(input, TopGroup::service)[0].cold, kTopMiB);
}

TEST(TopRows, OfProcesses) {
  auto rows = rows_of(top_input(), TopGroup::process);
  sort_rows(rows, TopSort::cold);
  ASSERT_THAT(rows, SizeIs(3));
  EXPECT_EQ(rows[0].name, "18 redis-rdb-bgsave");
  EXPECT_EQ(rows[0].cold, 6 * kTopMiB);
  EXPECT_EQ(rows[1].name, "17 redis-server");
}

TEST(TopRows, OfMappings) {
  auto rows = rows_of(top_input(), TopGroup::mapping);
  sort_rows(rows, TopSort::hot);
  ASSERT_THAT(rows, SizeIs(3));
  EXPECT_EQ(rows[0].name, "[heap]");  // of both processes of redis
  EXPECT_EQ(rows[0].hot, 4 * kTopMiB);
  EXPECT_EQ(rows[0].cold, 6 * kTopMiB);
  EXPECT_EQ(rows[1].name, "[heap]");  // of nginx
  EXPECT_EQ(rows[2].name, "[anon]");
}

TEST(TopRows, OfWhatHasNoMappings) {
  TopInput input = top_input();
  for (TopService& service : input.services) {
    for (TopProcess& process : service.processes) process.mappings.clear();
  }
  EXPECT_THAT(rows_of(input, TopGroup::mapping), SizeIs(2));
  EXPECT_EQ(rows_of(input, TopGroup::mapping)[1].name, "not mapped");
  EXPECT_EQ(rows_of(input, TopGroup::service)[1].cold, 10 * kTopMiB);
}

TEST(TopModel, SortAndGroupGoRound) {
  TopModel model;
  model.take(top_input());
  EXPECT_THAT(names_of(model), ElementsAre("redis-server.service", "nginx.service"));
  for (int i = 0; i < 3; ++i) model.handle(TopCommand::next_sort, 10);
  EXPECT_EQ(model.sort(), TopSort::name);
  EXPECT_THAT(names_of(model), ElementsAre("nginx.service", "redis-server.service"));
  model.handle(TopCommand::next_sort, 10);
  EXPECT_EQ(model.sort(), TopSort::hot);
  model.handle(TopCommand::next_group, 10);
  EXPECT_THAT(names_of(model), ElementsAre("17 redis-server", "30 nginx", "18 redis-rdb-bgsave"));
  model.handle(TopCommand::next_group, 10);
  model.handle(TopCommand::next_group, 10);
  EXPECT_EQ(model.group(), TopGroup::service);
}

TEST(TopModel, TheChosenRowStaysChosen) {
  TopModel model;
  model.take(top_input());
  model.handle(TopCommand::down, 10);
  EXPECT_EQ(model.rows()[model.chosen()].name, "nginx.service");
  TopInput hotter = top_input();
  hotter.services[1].processes[0].regions = {top_region(16, 1, 10)};
  hotter.services[0].processes.clear();
  model.take(hotter);
  EXPECT_EQ(model.chosen(), 0U);
  EXPECT_EQ(model.rows()[model.chosen()].name, "nginx.service");
}

TEST(TopModel, ChoosingStaysWithinTheRows) {
  TopModel model;
  for (const TopCommand command :
       {TopCommand::down, TopCommand::end, TopCommand::zoom, TopCommand::page_down}) {
    model.handle(command, 10);
    EXPECT_EQ(model.chosen(), 0U);
  }
  EXPECT_FALSE(model.zoom());
  model.take(top_input());
  model.handle(TopCommand::up, 10);
  EXPECT_EQ(model.chosen(), 0U);
  model.handle(TopCommand::page_down, 10);
  EXPECT_EQ(model.chosen(), 1U);
  model.handle(TopCommand::home, 10);
  EXPECT_EQ(model.chosen(), 0U);
}

TEST(TopModel, SparksAreOfTheLastMinute) {
  TopModel model;
  for (int i = 0; i < 70; ++i) model.take(top_input(i));
  const auto& spark = model.spark(model.rows()[0]);
  ASSERT_THAT(spark, SizeIs(TopModel::kSparkPoints));
  EXPECT_EQ(spark.back(), 6 * kTopMiB);
  // What goes takes its line with it.
  model.take({});
  EXPECT_THAT(model.rows(), SizeIs(0));
  model.take(top_input());
  EXPECT_THAT(model.spark(model.rows()[0]), SizeIs(1));
}

TEST(TopModel, APauseDropsWhatComes) {
  TopModel model;
  model.take(top_input());
  model.handle(TopCommand::pause, 10);
  model.take({});
  EXPECT_THAT(model.rows(), SizeIs(2));
  model.handle(TopCommand::pause, 10);
  model.take({});
  EXPECT_THAT(model.rows(), SizeIs(0));
}

TEST(TopModel, ZoomIntoAMapping) {
  TopModel model;
  model.take(top_input());
  model.handle(TopCommand::next_group, 10);
  model.handle(TopCommand::next_group, 10);
  ASSERT_EQ(model.rows()[0].name, "[heap]");
  model.handle(TopCommand::zoom, 10);
  ASSERT_TRUE(model.zoom());
  ASSERT_THAT(model.zoom()->snapshots, SizeIs(1));
  const Snapshot& snapshot = model.zoom()->snapshots.back();
  EXPECT_EQ(snapshot.pid, 17);
  ASSERT_THAT(snapshot.regions, SizeIs(1));
  EXPECT_EQ(snapshot.regions[0].range, (AddrRange{16 * kTopMiB, 20 * kTopMiB}));
  for (int i = 0; i < 300; ++i) model.take(top_input(i));
  EXPECT_THAT(model.zoom()->snapshots, SizeIs(TopModel::kZoomRows));
  model.handle(TopCommand::back, 10);
  EXPECT_FALSE(model.zoom());
}

TEST(TopModel, Text) {
  TopModel model;
  model.take(top_input());
  EXPECT_EQ(model.to_text(),
            "hot\twarm\tcold\tname\n4194304\t2097152\t10485760\tredis-server.service\n"
            "1048576\t0\t0\tnginx.service\n");
}

}  // namespace
}  // namespace damonfs::test
