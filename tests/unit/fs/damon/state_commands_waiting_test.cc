// Commands that wait for a kdamond: nobody else is held up, and giving up leaves no trace.
#include <gtest/gtest.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <future>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>

#include "core/base/read_whole.h"
#include "fs/damon/state_commands.h"
#include "tests/unit/fs/damon/state_commands_fixture.h"

namespace damonfs {
namespace {

using test::FakeTree;
using test::kContext;
using test::kScheme;
using test::kState;
using namespace std::chrono_literals;
using namespace std::string_literals;

// The kdamond stands still in the middle of a sampling interval, and a command waits for it.
class StateWaiting : public test::StateTest {
 protected:
  void hold() {
    turn_on();
    tree_.script.hold_checks = true;
    const uint64_t before = tree_.script.nr_checks;
    std::this_thread::sleep_for(5ms);
    ASSERT_LE(tree_.script.nr_checks, before + 1);
  }
  std::future<int> start(const std::string& word, const std::stop_token& interrupt = {}) {
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

TEST_F(StateWaiting, AnInterruptedOffEndsTheKdamondLater) {
  hold();
  std::stop_source interrupt;
  auto waiting = start("off", interrupt.get_token());
  EXPECT_EQ(tree_.read(kState), "on\n");
  interrupt.request_stop();
  EXPECT_EQ(waiting.get(), EINTR);
  EXPECT_EQ(tree_.read(kState), "on\n") << "it has not come to it";
  tree_.script.hold_checks = false;
  EXPECT_TRUE(eventually([&] { return tree_.read(kState) == "off\n"; }));
  EXPECT_EQ(command("on"), 0);
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

size_t nr_threads_that_refresh() {
  size_t number = 0;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    const auto name = read_whole((task.path() / "comm").string());
    number += name && *name == "damon-refresh\n" ? 1 : 0;
  }
  return number;
}

TEST_F(StateWaiting, NoThreadIsLeftOfWhatIsOffOrRemoved) {
  turn_on();
  EXPECT_TRUE(eventually([] { return nr_threads_that_refresh() == 1; }));
  ASSERT_EQ(command("off"), 0);
  EXPECT_EQ(nr_threads_that_refresh(), 0u);
  turn_on();
  let_it_end();
  const auto held = tree_.open(kState);
  set("kdamonds/nr_kdamonds", "0");
  EXPECT_EQ(nr_threads_that_refresh(), 0u) << "though a file of it is open";
}

}  // namespace
}  // namespace damonfs
