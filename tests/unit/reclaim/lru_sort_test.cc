#include "reclaim/lru_sort.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <iterator>

#include "tests/unit/reclaim/fake_machine.h"

namespace damonfs {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

const Scheme& hot_of(const Context& context) { return context.schemes.front(); }
const Scheme& cold_of(const Context& context) { return *std::next(context.schemes.begin()); }

Filter rejects_young(bool young) {
  Filter filter;
  filter.type = FilterType::young;
  filter.matching = young;
  filter.allow = false;
  return filter;
}

TEST(LruSortTest, DefaultsMakeTheKernelsContext) {
  const auto context = build(LruSortParams());
  EXPECT_EQ(OpsId::paddr, context->ops_id);
  EXPECT_EQ(MonitoringAttrs{}, context->attrs);
  EXPECT_THAT(ranges_of(context->targets.front()), ElementsAre(kRam));
  ASSERT_THAT(context->schemes, SizeIs(2));
  EXPECT_EQ(Action::lru_prio, hot_of(*context).params.action);
  EXPECT_EQ((AccessPattern{4096, UINT64_MAX, 10, kMax, 0, kMax}), hot_of(*context).params.pattern);
  EXPECT_EQ(Action::lru_deprio, cold_of(*context).params.action);
  EXPECT_EQ((AccessPattern{4096, UINT64_MAX, 0, 0, 1200, kMax}), cold_of(*context).params.pattern);
  for (const Scheme& scheme : context->schemes) {
    EXPECT_EQ((Watermarks{WatermarkMetric::free_mem_rate, 5000000, 200, 150, 50}),
              scheme.params.watermarks);
    EXPECT_EQ(Filters{}, scheme.params.filters);
    const QuotaParams& quota = scheme.quota.params;
    EXPECT_EQ(5U, quota.ms) << "half of 10 ms each";
    EXPECT_EQ(0U, quota.bytes);
    EXPECT_EQ(1000U, quota.reset_interval_ms);
    EXPECT_EQ(0U, quota.sz_permil);
    EXPECT_EQ(1U, quota.nr_accesses_permil);
    EXPECT_EQ(1U, quota.age_permil);
    EXPECT_THAT(quota.goals, IsEmpty());
  }
}

TEST(LruSortTest, ThresholdsCountInSamplesAndAggregations) {
  LruSortParams params;
  params.hot_thres_access_freq = 333;
  params.cold_min_age_us = 1'999'999;
  params.physical.sample_us = 1000;
  params.physical.aggr_us = 1'000'000;
  const auto context = build(params);
  EXPECT_EQ(333U, hot_of(*context).params.pattern.min_nr_accesses);
  EXPECT_EQ(1U, cold_of(*context).params.pattern.min_age);
}

TEST(LruSortTest, ThresholdsFollowTheIntervalsThatTuningBeginsWith) {
  LruSortParams params;
  params.physical.autotune_intervals = true;
  params.physical.sample_us = 1000;
  params.physical.aggr_us = 1'000'000;
  const auto context = build(params);
  EXPECT_EQ((IntervalsGoal{40, 3, 5000, 10'000'000}), context->attrs.intervals_goal);
  EXPECT_EQ(10U, hot_of(*context).params.pattern.min_nr_accesses);
  EXPECT_EQ(1200U, cold_of(*context).params.pattern.min_age);
}

TEST(LruSortTest, ActiveMemoryIsAimedForFromBothSides) {
  LruSortParams params;
  params.active_mem_bp = 6000;
  const auto context = build(params);
  ASSERT_THAT(hot_of(*context).quota.params.goals, SizeIs(1));
  EXPECT_EQ(GoalMetric::active_mem_bp, hot_of(*context).quota.params.goals[0].metric);
  EXPECT_EQ(6000U, hot_of(*context).quota.params.goals[0].target_value);
  ASSERT_THAT(cold_of(*context).quota.params.goals, SizeIs(1));
  EXPECT_EQ(GoalMetric::inactive_mem_bp, cold_of(*context).quota.params.goals[0].metric);
  EXPECT_EQ(4002U, cold_of(*context).quota.params.goals[0].target_value);
}

TEST(LruSortTest, YoungPagesAreFilteredAsTheActionSupposes) {
  LruSortParams params;
  params.filter_young_pages = true;
  const auto context = build(params);
  EXPECT_THAT(hot_of(*context).params.filters.ops, ElementsAre(rejects_young(false)));
  EXPECT_THAT(cold_of(*context).params.filters.ops, ElementsAre(rejects_young(true)));
}

TEST(LruSortTest, RefusesWrongParameters) {
  LruSortParams params;
  params.active_mem_bp = 10001;
  EXPECT_EQ(EINVAL, error_of(build_context(params, fake_machine(), ContextUse::start)));
  params = {};
  params.physical.addr_unit = 6;
  EXPECT_EQ(EINVAL, error_of(build_context(params, fake_machine(), ContextUse::start)));
  params = {};
  params.physical.aggr_us = 0;
  EXPECT_EQ(EINVAL, error_of(build_context(params, fake_machine(), ContextUse::start)));
}

TEST(LruSortTest, SortsHotAndColdMemory) {
  LruSortParams params;
  params.cold_min_age_us = 1'000'000;
  params.quota.ms = 0;
  Played played(build(params));
  played.metrics.free_permille = 100;
  played.hot = {4 * kGiB + 256 * kMiB, 4 * kGiB + 512 * kMiB};
  uint64_t wrong = 0;
  fake_of(played.context()).on_apply = [&](const Scheme& scheme, Application& work) {
    const AddrRange range = work.region->range;
    const uint64_t start = std::max(range.start, played.hot.start);
    const uint64_t end = std::min(range.end, played.hot.end);
    const uint64_t hot = start < end ? end - start : 0;
    wrong += scheme.params.action == Action::lru_prio ? range.size() - hot : hot;
    work.sz_applied = range.size();
  };
  played.run_us(5'000'000);
  const LruSortReport report = LruSortReport::of(played.context());
  EXPECT_EQ(played.scheme(0).stat, report.hot);
  EXPECT_EQ(played.scheme(1).stat, report.cold);
  EXPECT_GT(report.hot.sz_applied, 256 * kMiB);
  EXPECT_GT(report.cold.sz_applied, 700 * kMiB);
  EXPECT_LT(wrong, (report.hot.sz_applied + report.cold.sz_applied) / 10);
}

}  // namespace
}  // namespace damonfs
