// The file `state`: every command in every state of a kdamond.
#include "fs/damon/state_commands.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include "tests/unit/fs/damon/state_commands_fixture.h"

namespace damonfs {
namespace {

using test::kCallCommands;
using test::kContext;
using test::kScheme;
using test::kState;
using test::kWalkCommands;
using namespace std::string_literals;

using State = test::StateTest;

TEST_F(State, BeforeAnyOn) {
  EXPECT_EQ(tree_.read(kState), "off\n");
  EXPECT_EQ(tree_.read("kdamonds/0/pid"), "-1\n");
  EXPECT_EQ(command("off"), EINVAL);
  for (const auto& word : kCallCommands) EXPECT_EQ(command(word), EINVAL) << word;
  for (const auto& word : kWalkCommands) EXPECT_EQ(command(word), EINVAL) << word;
  EXPECT_EQ(command("clear_schemes_tried_regions"), 0);
}

TEST_F(State, UnknownWordsAreRefusedEverywhere) {
  for (const auto& word : {""s, "\n"s, "ON"s, "on "s, "on\n\n"s, "commits"s, "restart"s}) {
    EXPECT_EQ(command(word), EINVAL) << word;
  }
  turn_on();
  EXPECT_EQ(command("restart"), EINVAL);
  EXPECT_EQ(tree_.read(kState), "on\n");
}

TEST_F(State, OnAndOff) {
  EXPECT_EQ(command("on\n"), 0);
  EXPECT_EQ(tree_.read(kState), "on\n");
  EXPECT_GT(std::stoi(tree_.read("kdamonds/0/pid")), 0);
  EXPECT_EQ(command("on"), EBUSY);
  EXPECT_EQ(command("off\n"), 0);
  EXPECT_EQ(tree_.read(kState), "off\n");
  EXPECT_EQ(tree_.read("kdamonds/0/pid"), "-1\n");
  EXPECT_EQ(tree_.script.nr_alive, 0u);
  EXPECT_EQ(command("on"), 0);
  EXPECT_EQ(tree_.read(kState), "on\n");
}

TEST_F(State, AfterOff) {
  turn_on();
  ASSERT_EQ(command("off"), 0);
  EXPECT_EQ(command("off"), 0) << "as the kernel since 7.3";
  for (const auto& word : kCallCommands) EXPECT_EQ(command(word), ECANCELED) << word;
  for (const auto& word : kWalkCommands) EXPECT_EQ(command(word), ECANCELED) << word;
  EXPECT_EQ(command("clear_schemes_tried_regions"), 0);
}

TEST_F(State, AfterItEndedByItself) {
  turn_on();
  let_it_end();
  EXPECT_EQ(tree_.read("kdamonds/0/pid"), "-1\n");
  EXPECT_EQ(command("off"), 0) << "as the kernel since 7.3";
  EXPECT_EQ(command("commit"), ECANCELED);
  EXPECT_EQ(command("update_schemes_tried_regions"), ECANCELED);
  EXPECT_EQ(command("on"), 0);
  EXPECT_EQ(command("commit"), 0);
}

TEST_F(State, AfterAnOnThatFailed) {
  turn_on();
  ASSERT_EQ(command("off"), 0);
  set(kContext + "targets/0/pid_target", "0");
  EXPECT_EQ(command("on"), EINVAL);
  EXPECT_EQ(command("off"), EINVAL);
  EXPECT_EQ(command("commit"), EINVAL);
}

TEST_F(State, WithoutContextOnlyOffMeansSomething) {
  set("kdamonds/0/contexts/nr_contexts", "0");
  EXPECT_EQ(command("on"), EINVAL);
  EXPECT_EQ(command("clear_schemes_tried_regions"), EINVAL);
  set("kdamonds/0/contexts/nr_contexts", "1");
  configure();
  turn_on();
  set("kdamonds/0/contexts/nr_contexts", "0");
  for (const auto& word : kCallCommands) EXPECT_EQ(command(word), EINVAL) << word;
  for (const auto& word : kWalkCommands) EXPECT_EQ(command(word), EINVAL) << word;
  EXPECT_EQ(tree_.read(kState), "on\n");
  EXPECT_EQ(command("off"), 0);
}

TEST_F(State, EveryCommandWhileRunning) {
  turn_on();
  for (const auto& word : kCallCommands) EXPECT_EQ(command(word), 0) << word;
  for (const auto& word : kWalkCommands) EXPECT_EQ(command(word), 0) << word;
  EXPECT_EQ(command("clear_schemes_tried_regions"), 0);
}

TEST_F(State, KdamondsThatRunAreNotRemoved) {
  turn_on();
  EXPECT_EQ(tree_.write("kdamonds/nr_kdamonds", "1"), EBUSY);
  EXPECT_EQ(tree_.write("kdamonds/nr_kdamonds", "-1"), EINVAL);
  set(kContext + "targets/nr_targets", "0");  // that is nobody's but the files'
  EXPECT_EQ(tree_.read(kState), "on\n");
  ASSERT_EQ(command("off"), 0);
  EXPECT_EQ(tree_.write("kdamonds/nr_kdamonds", "0"), 0);
}

TEST_F(State, BadConfigurationsDoNotStart) {
  set(kContext + "monitoring_attrs/nr_regions/min", "2");
  EXPECT_EQ(command("on"), EINVAL);
  set(kContext + "monitoring_attrs/nr_regions/min", "3");
  set(kScheme + "filters/nr_filters", "1");
  set(kScheme + "filters/0/type", "memcg");
  EXPECT_EQ(command("on"), ENOMEM);
  set(kScheme + "filters/nr_filters", "0");
  set(kContext + "targets/0/obsolete_target", "Y");
  EXPECT_EQ(command("on"), EINVAL);
  EXPECT_EQ(tree_.read(kState), "off\n");
  EXPECT_EQ(tree_.script.nr_alive, 0u);
}

TEST_F(State, AnInvalidCommitChangesNothing) {
  turn_on();
  set(kContext + "monitoring_attrs/intervals/sample_us", "7000");
  set(kContext + "monitoring_attrs/intervals/aggr_us", "6000");
  EXPECT_EQ(command("commit"), EINVAL);
  set(kContext + "targets/0/pid_target", "0");
  EXPECT_EQ(command("commit"), EINVAL);
  EXPECT_EQ(tree_.read(kState), "on\n");
  EXPECT_EQ(command("update_tuned_intervals"), 0);
  EXPECT_EQ(tree_.read(kContext + "monitoring_attrs/intervals/sample_us"), "5000\n");
  EXPECT_EQ(tree_.read(kContext + "monitoring_attrs/intervals/aggr_us"), "100000\n");
}

TEST_F(State, AProcessThatIsGoneIsNeitherStartedNorCommitted) {
  tree_.dead_pids = {42};
  EXPECT_EQ(command("on"), EINVAL);
  tree_.dead_pids = {};
  turn_on();
  tree_.dead_pids = {42};
  EXPECT_EQ(command("commit"), EINVAL);
  EXPECT_EQ(tree_.read(kContext + "targets/0/pid_target"), "42\n");
  tree_.dead_pids = {};
  EXPECT_EQ(command("commit"), 0);
}

TEST_F(State, CommitTakesOverNewAttributes) {
  turn_on();
  set(kContext + "monitoring_attrs/intervals/sample_us", "2000");
  EXPECT_EQ(command("commit"), 0);
  set(kContext + "monitoring_attrs/intervals/sample_us", "9000");
  EXPECT_EQ(command("update_tuned_intervals"), 0);
  EXPECT_EQ(tree_.read(kContext + "monitoring_attrs/intervals/sample_us"), "2000\n");
}

TEST_F(State, CommitTakesOverOtherOperations) {
  turn_on();
  set(kContext + "operations", "paddr");
  EXPECT_EQ(command("commit"), 0);
  EXPECT_EQ(command("commit"), 0);
  EXPECT_EQ(tree_.script.nr_alive, 1u);
  tree_.make_unavailable(OpsId::fvaddr);
  set(kContext + "operations", "fvaddr");
  EXPECT_EQ(command("commit"), EINVAL);
  EXPECT_EQ(tree_.read(kState), "on\n");
}

TEST_F(State, CommittedObsoleteTargetsGo) {
  set(kContext + "targets/nr_targets", "2");
  set(kContext + "targets/0/pid_target", "42");
  set(kContext + "targets/1/pid_target", "43");
  turn_on();
  set(kContext + "targets/0/obsolete_target", "Y");
  EXPECT_EQ(command("commit"), 0);
  set(kContext + "targets/1/obsolete_target", "Y");
  EXPECT_EQ(command("commit"), EINVAL);  // one is left, at index 0
}

TEST_F(State, StatsAreShownOnlyWhenUpdated) {
  turn_on();
  EXPECT_EQ(number(kScheme + "stats/nr_tried"), 0u);
  ASSERT_TRUE(eventually([&] {
    return command("update_schemes_stats") == 0 && number(kScheme + "stats/nr_tried") > 0;
  }));
  EXPECT_GE(number(kScheme + "stats/sz_tried"), 0x10000u);
  EXPECT_EQ(number(kScheme + "stats/sz_applied"), number(kScheme + "stats/sz_tried"));
}

TEST_F(State, StatsAreRefreshedByThemselves) {
  set("kdamonds/0/refresh_ms", "5");
  turn_on();
  set(kContext + "monitoring_attrs/intervals/sample_us", "9000");
  EXPECT_TRUE(eventually([&] { return number(kScheme + "stats/nr_tried") > 0; }));
  EXPECT_EQ(tree_.read(kContext + "monitoring_attrs/intervals/sample_us"), "5000\n");
  set("kdamonds/0/refresh_ms", "0");
}

TEST_F(State, RefreshingMayBeginWhileRunning) {
  turn_on();
  EXPECT_EQ(number(kScheme + "stats/nr_tried"), 0u);
  set("kdamonds/0/refresh_ms", "5");
  EXPECT_TRUE(eventually([&] { return number(kScheme + "stats/nr_tried") > 0; }));
}

TEST_F(State, TriedRegionsAreNumberedFromZeroForEachScheme) {
  set(kContext + "schemes/nr_schemes", "2");
  for (const char* scheme : {"schemes/0/", "schemes/1/"}) {
    for (const char* field : {"sz", "nr_accesses", "age"}) {
      set(kContext + scheme + "access_pattern/" + field + "/max", "0xffffffff");
    }
  }
  turn_on();
  ASSERT_EQ(command("update_schemes_tried_regions"), 0);
  for (const std::string scheme : {"schemes/0/", "schemes/1/"}) {
    const std::string tried = kContext + scheme + "tried_regions/";
    EXPECT_EQ(number(tried + "total_bytes"), 0x10000u);
    EXPECT_EQ(number(tried + "0/start"), 0x10000u);
    EXPECT_EQ(number(tried + "0/nr_accesses"), 0u);
    EXPECT_EQ(number(tried + "0/sz_filter_passed"), 0u);
    uint64_t end = 0x10000;
    for (int i = 0; tree_.exists(tried + std::to_string(i) + "/start"); ++i) {
      EXPECT_EQ(number(tried + std::to_string(i) + "/start"), end);
      end = number(tried + std::to_string(i) + "/end");
    }
    EXPECT_EQ(end, 0x20000u);
  }
}

TEST_F(State, TriedBytesComeWithoutRegions) {
  const std::string tried = kScheme + "tried_regions/";
  turn_on();
  ASSERT_EQ(command("update_schemes_tried_regions"), 0);
  ASSERT_TRUE(tree_.exists(tried + "0/start"));
  ASSERT_EQ(command("update_schemes_tried_bytes"), 0);
  EXPECT_FALSE(tree_.exists(tried + "0/start"));
  EXPECT_EQ(number(tried + "total_bytes"), 0x10000u);
  ASSERT_EQ(command("clear_schemes_tried_regions"), 0);
  EXPECT_EQ(number(tried + "total_bytes"), 0u);
}

TEST_F(State, TriedRegionsOutliveTheKdamondButNotARefusedUpdate) {
  turn_on();
  ASSERT_EQ(command("update_schemes_tried_regions"), 0);
  const auto file = tree_.open(kScheme + "tried_regions/0/start");
  ASSERT_EQ(command("off"), 0);
  EXPECT_TRUE(tree_.read(file));
  EXPECT_EQ(command("update_schemes_tried_regions"), ECANCELED);
  EXPECT_EQ(tree_.read(file).error().code, ENODEV);
}

TEST_F(State, WalksNeedAScheme) {
  turn_on();
  set(kContext + "schemes/nr_schemes", "0");
  ASSERT_EQ(command("commit"), 0);
  for (const auto& word : kWalkCommands) EXPECT_EQ(command(word), ECANCELED) << word;
}

TEST_F(State, SchemesWithoutDirectoryAreNotShown) {
  turn_on();
  set(kContext + "schemes/nr_schemes", "0");
  EXPECT_EQ(command("update_schemes_tried_regions"), 0);
  EXPECT_EQ(command("update_schemes_stats"), 0);
}

}  // namespace
}  // namespace damonfs
