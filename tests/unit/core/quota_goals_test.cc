// How goals tune a quota.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "core/quota.h"
#include "tests/unit/core/fake_metrics.h"
#include "tests/unit/core/fake_operations.h"

namespace damonfs {
namespace {

using testing::ElementsAre;

constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();

class QuotaGoalsTest : public testing::Test {
 protected:
  QuotaGoal& add_goal(GoalMetric metric, uint64_t target, uint64_t current = 0) {
    quota_.params.goals.push_back({.metric = metric,
                                   .target_value = target,
                                   .current_value = current,
                                   .nid = 1,
                                   .path = "/a"});
    return quota_.params.goals.back();
  }
  QuotaGoal& add_input(uint64_t target, uint64_t current) {
    return add_goal(GoalMetric::user_input, target, current);
  }
  // The sizes of the next windows.
  std::vector<uint64_t> windows(int count) {
    std::vector<uint64_t> sizes;
    while (count-- > 0) {
      quota_.roll_window(0, kPage, &metrics_, qt_exceeds_);
      sizes.push_back(quota_.esz());
    }
    return sizes;
  }
  uint64_t window() { return windows(1).front(); }

  FakeMetrics metrics_;
  Quota quota_;
  uint64_t qt_exceeds_ = 0;
};

// --- The complement of a metric

TEST_F(QuotaGoalsTest, TheComplementOfBasisPointsIsWhatIsLeftOfTenThousand) {
  metrics_.node_bp[1] = 7500;
  QuotaGoal& goal = add_goal(GoalMetric::node_mem_used_bp, 5000);
  goal.complement = true;
  EXPECT_EQ(window(), 1) << "2,500 of 5,000: half as much again";
  EXPECT_EQ(goal.current_value, 7500) << "the metric itself";
  metrics_.node_bp[1] = 10001;
  EXPECT_EQ(window(), 3) << "never below none: twice as much";
}

TEST_F(QuotaGoalsTest, TheComplementOfWhatAUserTells) {
  QuotaGoal& goal = add_input(100, 9950);
  goal.complement = true;
  EXPECT_THAT(windows(6), ElementsAre(1, 2, 3, 5, 7, 11)) << "as 50 of 100, and it stays so";
}

TEST_F(QuotaGoalsTest, TheComplementOfStallsIsTheRestOfTheWindow) {
  quota_.params.reset_interval_ms = 1;
  quota_.params.goal_tuner = GoalTuner::temporal;
  QuotaGoal& goal = add_goal(GoalMetric::some_mem_psi_us, 900);
  goal.complement = true;
  uint64_t now_ns = 0;
  const auto next = [&] {
    quota_.roll_window(now_ns += 1000000, kPage, &metrics_, qt_exceeds_);
    return quota_.esz();
  };
  next();
  metrics_.psi_us += 100;  // 900 of 1,000 without a stall: as wanted
  EXPECT_EQ(next(), 0);
  metrics_.psi_us += 101;
  EXPECT_GT(next(), 0);
}

// --- consist. Kept in 1/10,000 bytes, from one byte on.

TEST_F(QuotaGoalsTest, StepsUpInProportion) {
  add_input(100, 50);  // half: half as much again
  // 1.5, 2.25, 3.375, 5.0625, 7.59375 (75937), 11.3905
  EXPECT_THAT(windows(6), ElementsAre(1, 2, 3, 5, 7, 11));
}

TEST_F(QuotaGoalsTest, DoublesAtMost) {
  add_input(100, 0);
  EXPECT_THAT(windows(13), ElementsAre(2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192));
  EXPECT_EQ(qt_exceeds_, 11) << "a page is reached with the 12th window";
}

TEST_F(QuotaGoalsTest, StepsDownInProportion) {
  QuotaGoal& goal = add_input(100, 0);
  windows(20);  // 2^20
  goal.current_value = 150;
  EXPECT_THAT(windows(3), ElementsAre(1 << 19, 1 << 18, 1 << 17));
  goal.current_value = 125;
  EXPECT_EQ(window(), (1 << 17) / 4 * 3);
}

TEST_F(QuotaGoalsTest, FarAboveTheGoalItStartsAnew) {
  QuotaGoal& goal = add_input(100, 0);
  windows(20);
  goal.current_value = 200;
  EXPECT_EQ(window(), 1);
  EXPECT_EQ(window(), 1) << "one byte at the least";
  goal.current_value = 199;
  EXPECT_EQ(window(), 1);
}

TEST_F(QuotaGoalsTest, StandsStillAtTheGoal) {
  QuotaGoal& goal = add_input(100, 0);
  windows(20);
  goal.current_value = 100;
  EXPECT_THAT(windows(3), ElementsAre(1 << 20, 1 << 20, 1 << 20));
}

// A metric that answers in proportion to the size settles at the goal's.
TEST_F(QuotaGoalsTest, Converges) {
  QuotaGoal& goal = add_input(1000, 0);
  constexpr uint64_t kRight = 1 << 24;
  uint64_t size = 0;
  for (int i = 0; i < 60; ++i) {
    goal.current_value = size * 1000 / kRight;
    size = window();
  }
  EXPECT_NEAR(static_cast<double>(size), kRight, kRight / 500.0);
}

TEST_F(QuotaGoalsTest, SaturatesAtTheTop) {
  add_input(100, 0);
  windows(200);
  EXPECT_THAT(windows(2), ElementsAre(kMax / 10000, kMax / 10000));
}

TEST_F(QuotaGoalsTest, ComesDownFromTheTop) {
  QuotaGoal& goal = add_input(100, 0);
  windows(200);
  goal.current_value = 150;
  EXPECT_EQ(window(), kMax / 10000 / 2);
}

TEST_F(QuotaGoalsTest, TheGoalThatIsBestReachedCounts) {
  add_input(100, 0);
  QuotaGoal& second = add_input(100, 50);
  EXPECT_EQ(window(), 1);  // 1.5
  second.current_value = 100;
  EXPECT_EQ(window(), 1) << "one is reached, so all stands still";
  quota_.params.goals[0].current_value = 300;
  windows(1);
  EXPECT_EQ(window(), 1);
}

TEST_F(QuotaGoalsTest, OtherLimitsCap) {
  add_input(100, 0);
  quota_.params.bytes = 5;
  EXPECT_THAT(windows(4), ElementsAre(2, 4, 5, 5));
  quota_.params.bytes = 0;
  EXPECT_EQ(window(), 32) << "the tuning went on";
  quota_.params.ms = 1;  // 4 MiB, until measured
  windows(20);
  EXPECT_EQ(window(), 4 << 20);
}

// A time quota keeps what it allows to a page at least, but not what goals do.
TEST_F(QuotaGoalsTest, GoalsMayAllowLessThanAPage) {
  add_input(100, 0);
  quota_.params.ms = 1;
  EXPECT_EQ(window(), 2);
}

// --- temporal

TEST_F(QuotaGoalsTest, TemporalIsAllOrNothing) {
  QuotaGoal& goal = add_input(100, 99);
  quota_.params.goal_tuner = GoalTuner::temporal;
  EXPECT_EQ(window(), kMax / 10000);
  goal.current_value = 100;
  EXPECT_EQ(window(), 0);
  EXPECT_TRUE(quota_.full(0, kPage)) << "nothing, and not everything";
  goal.current_value = 0;
  EXPECT_EQ(window(), kMax / 10000);
}

TEST_F(QuotaGoalsTest, TemporalGoesUpToTheSize) {
  QuotaGoal& goal = add_input(100, 10);
  quota_.params.goal_tuner = GoalTuner::temporal;
  quota_.params.bytes = 3 * kPage;
  EXPECT_EQ(window(), 3 * kPage);
  goal.current_value = 150;
  EXPECT_EQ(window(), 0);
}

// --- Metrics

TEST_F(QuotaGoalsTest, PressureCountsSinceTheLastReading) {
  const QuotaGoal& goal = add_goal(GoalMetric::some_mem_psi_us, 1000);
  metrics_.psi_us = 7000;
  EXPECT_EQ(window(), 1);
  EXPECT_EQ(goal.current_value, 1000) << "the first reading keeps the size, as a goal reached does";
  metrics_.psi_us = 7500;
  window();
  EXPECT_EQ(goal.current_value, 500);
  window();
  EXPECT_EQ(goal.current_value, 0);
  metrics_.psi_us = 0;
  window();
  EXPECT_EQ(goal.current_value, 0) << "never back";
}

TEST_F(QuotaGoalsTest, TheFirstReadingOfPressureKeepsTheLastDecision) {
  quota_.params.goal_tuner = GoalTuner::temporal;
  add_goal(GoalMetric::some_mem_psi_us, 1000);
  EXPECT_EQ(window(), 0) << "nothing was allowed yet";
  EXPECT_EQ(window(), kMax / 10000) << "no pressure";
  quota_.params.goals.front().last_psi_us.reset();  // as a commit leaves it
  metrics_.psi_us = 1'000'000;
  EXPECT_EQ(window(), kMax / 10000);
  metrics_.psi_us += 1000;
  EXPECT_EQ(window(), 0);
  quota_.params.goals.front().last_psi_us.reset();
  EXPECT_EQ(window(), 0);
}

TEST_F(QuotaGoalsTest, HugePages) {
  metrics_.hugepage_bp = 1500;
  QuotaGoal& goal = add_goal(GoalMetric::hugepage_mem_bp, 1000);
  EXPECT_EQ(window(), 1) << "half as much again as wanted: half the size, a byte at least";
  EXPECT_EQ(goal.current_value, 1500);
  goal.complement = true;
  goal.target_value = 10000;
  EXPECT_EQ(window(), 1);
  EXPECT_EQ(goal.current_value, 1500) << "the metric itself, of which 8,500 is the complement";
}

TEST_F(QuotaGoalsTest, Nodes) {
  metrics_.node_bp = {{0, 1}, {1, 6000}};
  metrics_.memcg_bp = {{{1, "/a"}, 1234}, {{0, "/a"}, 1}, {{1, "/b"}, 2}};
  for (const GoalMetric metric : {GoalMetric::node_mem_used_bp, GoalMetric::node_mem_free_bp,
                                  GoalMetric::node_memcg_used_bp, GoalMetric::node_memcg_free_bp}) {
    add_goal(metric, 10000);
  }
  window();
  const auto& goals = quota_.params.goals;
  EXPECT_EQ(goals[0].current_value, 6000);
  EXPECT_EQ(goals[1].current_value, 4000);
  EXPECT_EQ(goals[2].current_value, 1234);
  EXPECT_EQ(goals[3].current_value, 8766);
}

TEST_F(QuotaGoalsTest, ActiveMemory) {
  metrics_.active_bp = 2500;
  const QuotaGoal& active = add_goal(GoalMetric::active_mem_bp, 10000);
  window();
  EXPECT_EQ(active.current_value, 2500);
  quota_.params.goals.clear();
  const QuotaGoal& inactive = add_goal(GoalMetric::inactive_mem_bp, 10000);
  window();
  EXPECT_EQ(inactive.current_value, 7500);
}

TEST_F(QuotaGoalsTest, UserInputStaysAsItIs) {
  const QuotaGoal& goal = add_input(100, 42);
  windows(3);
  EXPECT_EQ(goal.current_value, 42);
}

}  // namespace
}  // namespace damonfs
