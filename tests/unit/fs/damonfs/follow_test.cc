// MOUNT/damonfs/kdamonds/K/contexts/C/follow: targets that are kept in step with a service.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fs/config/config.h"
#include "tests/unit/fs/damon/state_commands_fixture.h"

namespace damonfs::test {
namespace {

using testing::HasSubstr;

const std::string kBeside = "/damonfs/kdamonds/0/contexts/0/";
const std::string kFollow = kBeside + "follow";
const std::string kTargets = kContext + "targets/";

class FollowTest : public StateTest {
 protected:
  void SetUp() override {
    StateTest::SetUp();
    set(kTargets + "nr_targets", "0");
    tree_.folders().write("cgroup/cgroup.controllers", "memory\n");
    tree_.folders().write("cgroup/cgroup.procs", "");
  }

  // The cgroup /a has these processes.
  void run(const std::vector<int>& pids) {
    std::string text;
    for (const int pid : pids) {
      tree_.folders().write(
          fmt::format("proc/{}/stat", pid),
          fmt::format("{0} (a) S 1 {0} {0} 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 {0} 1\n", pid));
      text += fmt::format("{}\n", pid);
    }
    tree_.folders().write("cgroup/a/cgroup.procs", text);
  }
  // What pid_target of each target reads, in their order.
  std::string targets() {
    const size_t count = number(kTargets + "nr_targets");
    std::vector<std::string> pids;
    for (size_t i = 0; i < count; ++i) {
      std::string pid = tree_.read(fmt::format("{}{}/pid_target", kTargets, i));
      if (pid.ends_with('\n')) pid.pop_back();
      pids.push_back(std::move(pid));
    }
    return fmt::format("{}", fmt::join(pids, " "));
  }
  bool becomes(const std::string& wanted) {
    return eventually([&] { return targets() == wanted; });
  }
  // "PID:AGE PID:AGE", by the running context.
  std::string watched() {
    std::string text;
    const auto regions = tree_.snapshot("/damonfs/kdamonds/0/regions");
    std::istringstream lines(regions);
    for (std::string line; std::getline(lines, line);) {
      std::istringstream words(line);
      std::string target, pid;
      if (line.starts_with('#') || !(words >> target >> pid) || target == "target") continue;
      if (!text.ends_with(pid + " ")) text += pid + " ";
    }
    return text;
  }
};

TEST_F(FollowTest, NothingIsFollowedAtFirst) {
  EXPECT_EQ("\n", tree_.read(kFollow));
  EXPECT_EQ("512\n", tree_.read(kBeside + "follow_max"));
  EXPECT_EQ("follows nothing\n", tree_.read(kBeside + "follow_state"));
}

TEST_F(FollowTest, TargetsComeAndGoWithTheProcesses) {
  run({10, 30, 20});
  set(kFollow, "cgroup /a\n");
  EXPECT_EQ("cgroup /a\n", tree_.read(kFollow));
  EXPECT_TRUE(becomes("10 20 30")) << targets();
  EXPECT_EQ("3 processes\n", tree_.read(kBeside + "follow_state"));
  run({10, 30, 25});
  EXPECT_TRUE(becomes("10 30 25")) << targets();
  run({});
  EXPECT_TRUE(becomes("")) << targets();
  EXPECT_THAT(tree_.read(kBeside + "follow_state"), HasSubstr("has no process"));
}

TEST_F(FollowTest, ARunningKdamondIsKeptInStepAndOutlivesAllProcesses) {
  run({10});
  set(kFollow, "cgroup /a");
  turn_on();
  EXPECT_EQ("10", targets()) << "on looks by itself";
  EXPECT_TRUE(eventually([&] { return watched() == "10 "; })) << watched();
  run({10, 11, 12});
  EXPECT_TRUE(eventually([&] { return watched() == "10 11 12 "; })) << watched();
  tree_.script.targets_valid = false;
  run({});
  EXPECT_TRUE(eventually([&] { return watched().empty(); })) << watched();
  EXPECT_EQ("on\n", tree_.read(kState));
  tree_.script.targets_valid = true;
  run({40});
  EXPECT_TRUE(eventually([&] { return watched() == "40 "; })) << watched();
  ASSERT_EQ(0, command("commit"));
  EXPECT_EQ("40 ", watched());
  // Without it the kdamond ends with its last process again.
  set(kFollow, "");
  tree_.script.targets_valid = false;
  EXPECT_TRUE(eventually([&] { return tree_.read(kState) == "off\n"; }));
  EXPECT_EQ("40", targets()) << "what was there last";
}

TEST_F(FollowTest, WhatElseWasWrittenWaitsForTheCommit) {
  run({10});
  set(kFollow, "cgroup /a");
  turn_on();
  set(kContext + "monitoring_attrs/nr_regions/max", "777");
  run({10, 11});
  EXPECT_TRUE(eventually([&] { return watched() == "10 11 "; })) << watched();
  EXPECT_THAT(tree_.snapshot("/damonfs/kdamonds/0/regions"), HasSubstr("max_nr_regions=1000"));
}

TEST_F(FollowTest, OldestFirstUpToTheBound) {
  set(kBeside + "follow_max", "2");
  run({10, 11, 12, 13});
  set(kFollow, "cgroup /a");
  EXPECT_TRUE(becomes("10 11")) << targets();
  EXPECT_THAT(tree_.read(kBeside + "follow_state"), HasSubstr("2 younger ones are left out"));
  run({11, 12, 13});
  EXPECT_TRUE(becomes("11 12")) << targets();
  set(kBeside + "follow_max", "10");
  EXPECT_TRUE(becomes("11 12 13")) << targets();
  for (const char* wrong : {"0", "-1", "x", "", "100001"}) {
    EXPECT_NE(0, tree_.write(kBeside + "follow_max", wrong)) << wrong;
  }
  EXPECT_EQ("10\n", tree_.read(kBeside + "follow_max"));
}

TEST_F(FollowTest, OthersMayNotChangeTargetsMeanwhile) {
  run({10, 11});
  set(kFollow, "cgroup /a");
  ASSERT_TRUE(becomes("10 11"));
  EXPECT_EQ(EBUSY, tree_.write(kTargets + "nr_targets", "1"));
  EXPECT_EQ(EBUSY, tree_.write(kTargets + "0/pid_target", "42"));
  EXPECT_EQ(0, tree_.write(kTargets + "nr_targets", "2"));
  EXPECT_EQ(0, tree_.write(kTargets + "0/pid_target", "10"));
  EXPECT_EQ("10 11", targets());
  set(kFollow, "\n");
  EXPECT_EQ(0, tree_.write(kTargets + "nr_targets", "1"));
  EXPECT_EQ(0, tree_.write(kTargets + "0/pid_target", "42"));
}

TEST_F(FollowTest, DirectoriesOfThoseThatStayStay) {
  run({10, 11});
  set(kFollow, "cgroup /a");
  ASSERT_TRUE(becomes("10 11"));
  const auto first = tree_.open(kTargets + "0/pid_target");
  const auto second = tree_.open(kTargets + "1/pid_target");
  run({10, 12});
  ASSERT_TRUE(becomes("10 12"));
  EXPECT_EQ("10\n", tree_.read(first).value());
  EXPECT_EQ(ENODEV, tree_.read(second).error().code);
}

TEST_F(FollowTest, RefusesWhatMeansNothing) {
  run({10});
  set(kFollow, "cgroup /a");
  for (const char* wrong : {"a", "cgroup", "cgroup a/../b", "tree 0", "tree x", "comm", "unit"}) {
    EXPECT_EQ(EINVAL, tree_.write(kFollow, wrong)) << wrong;
    EXPECT_EQ("cgroup /a\n", tree_.read(kFollow)) << wrong;
  }
  tree_.dead_pids.insert(66);
  EXPECT_EQ(EINVAL, tree_.write(kFollow, "tree 66"));
  set(kFollow, "comm a\\nb\\xff");
  EXPECT_EQ("comm a\\nb\\xff\n", tree_.read(kFollow));
  set(kContext + "operations", "paddr");
  EXPECT_EQ(EINVAL, command("on"));
}

TEST_F(FollowTest, EndsWithItsContext) {
  run({10});
  set(kFollow, "cgroup /a");
  ASSERT_TRUE(becomes("10"));
  set("kdamonds/0/contexts/nr_contexts", "1");
  EXPECT_EQ("\n", tree_.read(kFollow));
  EXPECT_EQ("0\n", tree_.read(kTargets + "nr_targets"));
}

TEST_F(FollowTest, AConfigurationMaySayIt) {
  run({10, 11});
  LocalTreeWriter writer(tree_.tree());
  const auto applied = apply_config(
      "kdamonds:\n"
      "  - contexts:\n"
      "      - operations: vaddr\n"
      "        follow: cgroup /a\n"
      "        follow_max: 1\n"
      "    state: on\n",
      "test", writer);
  ASSERT_TRUE(applied) << applied.error().message;
  EXPECT_TRUE(eventually([&] { return watched() == "10 "; })) << watched();
  EXPECT_EQ("1\n", tree_.read(kBeside + "follow_max"));
}

}  // namespace
}  // namespace damonfs::test
