// The file `state`: every command in every state of a kdamond.
#include "fs/state.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <functional>
#include <future>
#include <thread>
#include <vector>

#include "tests/unit/fs/fake_machine.h"

namespace damonfs {
namespace {

using test::FakeTree;
using namespace std::chrono_literals;
using namespace std::string_literals;

const std::string kState = "kdamonds/0/state";
const std::string kContext = "kdamonds/0/contexts/0/";
const std::string kScheme = kContext + "schemes/0/";

const std::vector<std::string> kCallCommands = {
    "commit", "commit_schemes_quota_goals", "update_schemes_stats",
    "update_schemes_effective_quotas", "update_tuned_intervals"};
const std::vector<std::string> kWalkCommands = {"update_schemes_tried_bytes",
                                                "update_schemes_tried_regions"};

// Polls, for at most ten seconds.
bool eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 10000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(1ms);
  }
  return false;
}

// One kdamond for one process, with a scheme that applies to everything.
class State : public testing::Test {
 protected:
  void SetUp() override {
    set("kdamonds/nr_kdamonds", "1");
    set("kdamonds/0/contexts/nr_contexts", "1");
    configure();
  }
  void TearDown() override { tree_.script.hold_checks = false; }

  void configure() {
    set(kContext + "targets/nr_targets", "1");
    set(kContext + "targets/0/pid_target", "42");
    set(kContext + "monitoring_attrs/nr_regions/min", "3");
    set(kContext + "schemes/nr_schemes", "1");
    set(kScheme + "access_pattern/sz/max", "0xffffffffffffffff");
    set(kScheme + "access_pattern/nr_accesses/max", "0xffffffff");
    set(kScheme + "access_pattern/age/max", "0xffffffff");
  }
  void set(const std::string& path, const std::string& text) {
    ASSERT_EQ(tree_.write(path, text), 0) << path;
  }
  int command(const std::string& word) { return tree_.write(kState, word); }
  void turn_on() { ASSERT_EQ(command("on"), 0); }
  void let_it_end() {
    tree_.script.targets_valid = false;
    ASSERT_TRUE(eventually([&] { return tree_.read(kState) == "off\n"; }));
    tree_.script.targets_valid = true;
  }
  uint64_t number(const std::string& path) { return std::stoull(tree_.read(path)); }

  FakeTree tree_;
};

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
  EXPECT_EQ(command("off"), EPERM);
  for (const auto& word : kCallCommands) EXPECT_EQ(command(word), ECANCELED) << word;
  for (const auto& word : kWalkCommands) EXPECT_EQ(command(word), ECANCELED) << word;
  EXPECT_EQ(command("clear_schemes_tried_regions"), 0);
}

TEST_F(State, AfterItEndedByItself) {
  turn_on();
  let_it_end();
  EXPECT_EQ(tree_.read("kdamonds/0/pid"), "-1\n");
  EXPECT_EQ(command("off"), EPERM);
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

// The kdamond stands still in the middle of a sampling interval, and a command waits for it.
class StateWaiting : public State {
 protected:
  void hold() {
    turn_on();
    tree_.script.hold_checks = true;
    const uint64_t before = tree_.script.nr_checks;
    std::this_thread::sleep_for(5ms);
    ASSERT_LE(tree_.script.nr_checks, before + 1);
  }
  std::future<int> start(const std::string& word, std::stop_token interrupt = {}) {
    auto result = std::async(std::launch::async, [this, word, interrupt] {
      return tree_.write(kState, word, interrupt);
    });
    EXPECT_TRUE(eventually([&] { return command("no command") == EBUSY; })) << word;
    return result;
  }
};

TEST_F(StateWaiting, NothingElseIsHeldUp) {
  hold();
  auto waiting = start("update_schemes_stats");
  EXPECT_EQ(tree_.read(kState), "on\n");
  EXPECT_EQ(tree_.write(kScheme + "action", "pageout"), 0);
  EXPECT_EQ(command("commit"), EBUSY);
  EXPECT_EQ(command("off"), EBUSY);
  EXPECT_EQ(tree_.write("kdamonds/nr_kdamonds", "1"), EBUSY);
  tree_.script.hold_checks = false;
  EXPECT_EQ(waiting.get(), 0);
  EXPECT_EQ(command("off"), 0);
}

TEST_F(StateWaiting, DirectoriesMayGoMeanwhile) {
  for (const auto& word : {"update_schemes_stats"s, "update_schemes_tried_regions"s, "commit"s,
                           "update_tuned_intervals"s}) {
    hold();
    auto waiting = start(word);
    EXPECT_EQ(tree_.write("kdamonds/0/contexts/nr_contexts", "0"), 0);
    tree_.script.hold_checks = false;
    EXPECT_EQ(waiting.get(), 0) << word;
    EXPECT_EQ(command("off"), 0);
    set("kdamonds/0/contexts/nr_contexts", "1");
    configure();
  }
}

TEST_F(StateWaiting, NewSchemeDirectoriesDoNotGetOldResults) {
  hold();
  auto waiting = start("update_schemes_tried_regions");
  set(kContext + "schemes/nr_schemes", "1");
  tree_.script.hold_checks = false;
  EXPECT_EQ(waiting.get(), 0);
  EXPECT_EQ(tree_.read(kScheme + "tried_regions/total_bytes"), "0\n");
  EXPECT_FALSE(tree_.exists(kScheme + "tried_regions/0/start"));
}

TEST_F(StateWaiting, AnInterruptedWaitLeavesEverythingUsable) {
  for (const auto& word : {"update_schemes_stats"s, "update_schemes_tried_regions"s, "commit"s}) {
    hold();
    std::stop_source interrupt;
    auto waiting = start(word, interrupt.get_token());
    interrupt.request_stop();
    EXPECT_EQ(waiting.get(), EINTR) << word;
    tree_.script.hold_checks = false;
    EXPECT_EQ(command(word), 0);
    EXPECT_EQ(command("off"), 0);
  }
}

TEST_F(StateWaiting, AKdamondThatEndsWakesThem) {
  for (const auto& word : {"update_schemes_stats"s, "update_schemes_tried_regions"s}) {
    hold();
    set(kScheme + "apply_interval_us", "1");
    auto waiting = start(word);
    tree_.script.targets_valid = false;
    // The interval it is in still serves a call.
    tree_.script.hold_checks = false;
    const int result = waiting.get();
    EXPECT_TRUE(result == 0 || result == ECANCELED) << word << ": " << result;
    ASSERT_TRUE(eventually([&] { return tree_.read(kState) == "off\n"; }));
    tree_.script.targets_valid = true;
  }
}

TEST_F(StateWaiting, ATreeThatGoesStopsItsKdamonds) {
  auto tree = std::make_unique<FakeTree>();
  ASSERT_EQ(tree->write("kdamonds/nr_kdamonds", "2"), 0);
  for (const std::string kdamond : {"kdamonds/0/", "kdamonds/1/"}) {
    ASSERT_EQ(tree->write(kdamond + "contexts/nr_contexts", "1"), 0);
    ASSERT_EQ(tree->write(kdamond + "contexts/0/targets/nr_targets", "1"), 0);
    ASSERT_EQ(tree->write(kdamond + "contexts/0/targets/0/pid_target", "1"), 0);
    ASSERT_EQ(tree->write(kdamond + "refresh_ms", "1"), 0);
    ASSERT_EQ(tree->write(kdamond + "state", "on"), 0);
  }
  EXPECT_EQ(tree->script.nr_alive, 2u);
  tree.reset();
}

}  // namespace
}  // namespace damonfs
