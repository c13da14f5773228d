// The figures of the kernel's KUnit cases of commits (7.3, mm/damon/tests/core-kunit.h), held
// against ours. tests/kunit.md lists all cases.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <vector>

#include "core/commit.h"
#include "tests/unit/core/fake_operations.h"

namespace damonfs {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;

// A running context and one to commit to it, each with one scheme and one target.
class KunitCommit : public testing::Test {
 protected:
  KunitCommit() { wanted_->operations.reset(); }
  // What becomes of the scheme `running` by a commit of `wanted`.
  static SchemeParams committed(const SchemeParams& running, const SchemeParams& wanted) {
    const auto now = fake_context();
    const auto next = fake_context();
    now->add_scheme(running);
    next->add_scheme(wanted);
    EXPECT_TRUE(commit_context(*now, *next));
    return now->schemes.front().params;
  }

  std::unique_ptr<Context> running_ = fake_context();
  std::unique_ptr<Context> wanted_ = fake_context();
};

QuotaGoal goal_of(GoalMetric metric, uint64_t target, uint64_t current = 0, int nid = 0,
                  const char* path = "") {
  QuotaGoal goal;
  goal.metric = metric;
  goal.target_value = target;
  goal.current_value = current;
  goal.nid = nid;
  goal.path = path;
  return goal;
}

// damos_test_commit_quota_goal; node_eligible_mem_bp and hugepage_mem_bp beside its metrics.
TEST(KunitCommitQuota, Goal) {
  Quota running;
  running.params.goals = {goal_of(GoalMetric::some_mem_psi_us, 1000, 123)};
  running.params.goals[0].last_psi_us = 456;
  for (const QuotaGoal& goal :
       {goal_of(GoalMetric::some_mem_psi_us, 234, 345), goal_of(GoalMetric::user_input, 789, 12),
        goal_of(GoalMetric::node_mem_free_bp, 345, 678, 9),
        goal_of(GoalMetric::node_mem_used_bp, 12, 345, 6),
        goal_of(GoalMetric::node_memcg_used_bp, 456, 567, 6, "/7"),
        goal_of(GoalMetric::node_memcg_free_bp, 890, 901, 10, "/1"),
        goal_of(GoalMetric::node_eligible_mem_bp, 123, 0, 5),
        goal_of(GoalMetric::hugepage_mem_bp, 1000),
        goal_of(GoalMetric::some_mem_psi_us, 234, 345)}) {
    QuotaParams wanted;
    wanted.goals = {goal};
    commit_quota(running, wanted);
    ASSERT_EQ(1U, running.params.goals.size());
    const QuotaGoal& now = running.params.goals[0];
    EXPECT_EQ(goal.metric, now.metric);
    EXPECT_EQ(goal.target_value, now.target_value);
    if (goal.metric == GoalMetric::user_input) {
      EXPECT_EQ(goal.current_value, now.current_value);
    }
    EXPECT_EQ(goal.nid, now.nid);
    EXPECT_EQ(goal.path, now.path);
    EXPECT_FALSE(now.last_psi_us) << "the next reading is a first one";
  }
}

// damos_test_commit_quota_goals
TEST(KunitCommitQuota, Goals) {
  const std::vector<std::pair<std::vector<uint64_t>, std::vector<uint64_t>>> cases = {
      {{}, {123}}, {{234}, {345}}, {{456}, {}}};
  for (const auto& [before, after] : cases) {
    Quota running;
    for (const uint64_t target : before) {
      running.params.goals.push_back(goal_of(GoalMetric::user_input, target));
    }
    QuotaParams wanted;
    for (const uint64_t target : after) {
      wanted.goals.push_back(goal_of(GoalMetric::user_input, target));
    }
    commit_quota(running, wanted);
    std::vector<uint64_t> targets;
    for (const QuotaGoal& goal : running.params.goals) targets.push_back(goal.target_value);
    EXPECT_THAT(targets, ElementsAreArray(after));
  }
}

// damos_test_commit_quota
TEST(KunitCommitQuota, Parameters) {
  Quota running;
  running.params.reset_interval_ms = 1;
  running.params.ms = 2;
  running.params.bytes = 3;
  running.params.fail_charge_num = 2;
  running.params.fail_charge_denom = 3;
  running.params.sz_permil = 4;
  running.params.nr_accesses_permil = 5;
  running.params.age_permil = 6;
  QuotaParams wanted;
  wanted.reset_interval_ms = 7;
  wanted.ms = 8;
  wanted.bytes = 9;
  wanted.goal_tuner = GoalTuner::temporal;
  wanted.fail_charge_num = 1;
  wanted.fail_charge_denom = 1024;
  wanted.sz_permil = 10;
  wanted.nr_accesses_permil = 11;
  wanted.age_permil = 12;
  commit_quota(running, wanted);
  EXPECT_EQ(7U, running.params.reset_interval_ms);
  EXPECT_EQ(8U, running.params.ms);
  EXPECT_EQ(9U, running.params.bytes);
  EXPECT_EQ(GoalTuner::temporal, running.params.goal_tuner);
  EXPECT_EQ(1U, running.params.fail_charge_num);
  EXPECT_EQ(1024U, running.params.fail_charge_denom);
  EXPECT_EQ(10U, running.params.sz_permil);
  EXPECT_EQ(11U, running.params.nr_accesses_permil);
  EXPECT_EQ(12U, running.params.age_permil);
}

// damos_test_commit_dests
TEST_F(KunitCommit, Dests) {
  const std::vector<ActionDest> three = {{1, 2}, {2, 3}, {3, 4}};
  const std::vector<ActionDest> others = {{4, 5}, {5, 6}, {6, 7}};
  const std::vector<ActionDest> two = {{4, 5}, {5, 6}};
  const std::pair<std::vector<ActionDest>, std::vector<ActionDest>> cases[] = {
      {three, others}, {{{1, 2}, {2, 3}}, others}, {{}, others}, {three, two}, {three, {}}};
  for (const auto& [before, after] : cases) {
    SchemeParams running;
    SchemeParams wanted;
    running.dests = before;
    wanted.dests = after;
    EXPECT_THAT(committed(running, wanted).dests, ElementsAreArray(after));
  }
}

// damos_test_commit_filter
TEST_F(KunitCommit, Filter) {
  const auto of_type = [](FilterType type, bool yes) {
    Filter filter;
    filter.type = type;
    filter.matching = filter.allow = yes;
    return filter;
  };
  std::vector<Filter> ops = {of_type(FilterType::anon, true), of_type(FilterType::memcg, false),
                             of_type(FilterType::young, true),
                             of_type(FilterType::hugepage_size, false),
                             of_type(FilterType::unmapped, true)};
  ops[1].memcg_path = "/123";
  ops[3].min_sz = 234;
  ops[3].max_sz = 345;
  std::vector<Filter> core = {of_type(FilterType::addr, false), of_type(FilterType::target, true)};
  core[0].addr = {456, 567};
  core[1].target_idx = 6;
  SchemeParams running;
  running.filters.ops = {of_type(FilterType::active, false)};
  for (const Filter& filter : ops) {
    SchemeParams wanted;
    wanted.filters.ops = {filter};
    running = committed(running, wanted);
    EXPECT_THAT(running.filters.ops, ElementsAre(filter));
  }
  for (const Filter& filter : core) {
    SchemeParams wanted;
    wanted.filters.core = {filter};
    running = committed(running, wanted);
    EXPECT_THAT(running.filters.core, ElementsAre(filter));
    EXPECT_TRUE(running.filters.ops.empty());
  }
}

// damos_test_commit_pageout and damos_test_commit_migrate_hot
TEST_F(KunitCommit, Scheme) {
  SchemeParams running;
  running.pattern = {1, 2, 3, 4, 5, 6};
  running.action = Action::pageout;
  running.apply_interval_us = 1'000'000;
  running.watermarks = {WatermarkMetric::free_mem_rate, 900, 100, 50, 0};
  SchemeParams wanted;
  wanted.pattern = {2, 3, 4, 5, 6, 7};
  wanted.action = Action::pageout;
  wanted.apply_interval_us = 2'000'000;
  wanted.watermarks = {WatermarkMetric::free_mem_rate, 800, 50, 30, 0};
  for (const Action action : {Action::pageout, Action::migrate_hot}) {
    if (action == Action::migrate_hot) {
      wanted.action = action;
      wanted.target_nid = 5;
      wanted.watermarks = {};
    }
    const SchemeParams now = committed(running, wanted);
    EXPECT_EQ(wanted.pattern, now.pattern);
    EXPECT_EQ(wanted.action, now.action);
    EXPECT_EQ(wanted.apply_interval_us, now.apply_interval_us);
    EXPECT_EQ(wanted.target_nid, now.target_nid);
    EXPECT_EQ(wanted.watermarks, now.watermarks);
  }
}

// damon_test_commit_target_regions
TEST_F(KunitCommit, TargetRegions) {
  running_->min_region_sz = wanted_->min_region_sz = 1;
  Target& target = running_->add_target(nullptr);
  target.add_region({3, 8});
  target.add_region({8, 10});
  Target& wanted = wanted_->add_target(nullptr);
  ASSERT_TRUE(commit_context(*running_, *wanted_));
  EXPECT_THAT(ranges_of(target), ElementsAre(AddrRange{3, 8}, AddrRange{8, 10}));
  wanted.add_region({4, 6});
  ASSERT_TRUE(commit_context(*running_, *wanted_));
  EXPECT_THAT(ranges_of(target), ElementsAre(AddrRange{4, 6}));
}

// damon_test_commit_ctx
TEST_F(KunitCommit, Context) {
  wanted_->min_region_sz = 4096;
  EXPECT_EQ(0, error_of(commit_context(*running_, *wanted_)));
  wanted_->min_region_sz = 4095;
  EXPECT_EQ(EINVAL, error_of(commit_context(*running_, *wanted_)));
  wanted_->min_region_sz = 4096;
  wanted_->pause = true;
  EXPECT_EQ(0, error_of(commit_context(*running_, *wanted_)));
  EXPECT_TRUE(running_->pause);
}

}  // namespace
}  // namespace damonfs
