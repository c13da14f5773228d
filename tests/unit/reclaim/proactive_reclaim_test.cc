#include "reclaim/proactive_reclaim.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <functional>

#include "core/commit.h"
#include "core/damos.h"
#include "tests/unit/reclaim/fake_machine.h"

namespace damonfs {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

// The error that a parameter is refused with.
int refused(const std::function<void(ReclaimParams&)>& change) {
  ReclaimParams params;
  change(params);
  return error_of(build_context(params, fake_machine(), ContextUse::start));
}

// --- The context

TEST(ReclaimTest, DefaultsMakeTheKernelsContext) {
  const auto context = build(ReclaimParams());
  EXPECT_EQ(OpsId::paddr, context->ops_id);
  EXPECT_NE(nullptr, context->operations);
  EXPECT_EQ(5000U, context->attrs.sample_us);
  EXPECT_EQ(100000U, context->attrs.aggr_us);
  EXPECT_EQ(10U, context->attrs.min_nr_regions);
  EXPECT_EQ(1000U, context->attrs.max_nr_regions);
  EXPECT_EQ(IntervalsGoal{}, context->attrs.intervals_goal);
  EXPECT_EQ(20U, context->aggr_samples);
  EXPECT_EQ(1U, context->addr_unit);
  EXPECT_EQ(4096U, context->min_region_sz);
  ASSERT_THAT(context->targets, SizeIs(1));
  EXPECT_THAT(ranges_of(context->targets.front()), ElementsAre(kRam));
  ASSERT_THAT(context->schemes, SizeIs(1));
  const Scheme& scheme = context->schemes.front();
  EXPECT_EQ(Action::pageout, scheme.params.action);
  EXPECT_EQ((AccessPattern{4096, UINT64_MAX, 0, 0, 1200, kMax}), scheme.params.pattern);
  EXPECT_EQ((Watermarks{WatermarkMetric::free_mem_rate, 5000000, 500, 400, 200}),
            scheme.params.watermarks);
  EXPECT_EQ(Filters{}, scheme.params.filters);
  EXPECT_EQ(0U, scheme.params.apply_interval_us);
  const QuotaParams& quota = scheme.quota.params;
  EXPECT_EQ(10U, quota.ms);
  EXPECT_EQ(128 * kMiB, quota.bytes);
  EXPECT_EQ(1000U, quota.reset_interval_ms);
  EXPECT_EQ(0U, quota.sz_permil);
  EXPECT_EQ(0U, quota.nr_accesses_permil);
  EXPECT_EQ(1U, quota.age_permil);
  EXPECT_THAT(quota.goals, IsEmpty());
}

TEST(ReclaimTest, MinAgeCountsInAggregations) {
  ReclaimParams params;
  params.min_age_us = 1'999'999;
  params.physical.sample_us = 1000;
  params.physical.aggr_us = 500'000;
  EXPECT_EQ(3U, build(params)->schemes.front().params.pattern.min_age);
  params.min_age_us = UINT64_MAX;
  params.physical.aggr_us = params.physical.sample_us = 1;
  EXPECT_EQ(kMax, build(params)->schemes.front().params.pattern.min_age);
}

TEST(ReclaimTest, GoalsAreOnWhenTheirParametersAre) {
  ReclaimParams params;
  params.quota_mem_pressure_us = 700;
  params.quota_autotune_feedback = 9000;
  const auto context = build(params);
  const auto& goals = context->schemes.front().quota.params.goals;
  ASSERT_THAT(goals, SizeIs(2));
  EXPECT_EQ(GoalMetric::some_mem_psi_us, goals[0].metric);
  EXPECT_EQ(700U, goals[0].target_value);
  EXPECT_EQ(GoalMetric::user_input, goals[1].metric);
  EXPECT_EQ(10000U, goals[1].target_value);
  EXPECT_EQ(9000U, goals[1].current_value);
}

TEST(ReclaimTest, SkipAnonRejectsAnonymousPages) {
  ReclaimParams params;
  params.skip_anon = true;
  Filter anon;
  anon.type = FilterType::anon;
  anon.matching = true;
  anon.allow = false;
  EXPECT_THAT(build(params)->schemes.front().params.filters.ops, ElementsAre(anon));
}

TEST(ReclaimTest, AutotuningTakesIntervalsOfItsOwn) {
  ReclaimParams params;
  params.physical.autotune_intervals = true;
  params.physical.sample_us = 7000;
  params.physical.aggr_us = 700'000;
  const auto context = build(params);
  EXPECT_EQ(5000U, context->attrs.sample_us);
  EXPECT_EQ(100'000U, context->attrs.aggr_us);
  EXPECT_EQ((IntervalsGoal{40, 3, 5000, 10'000'000}), context->attrs.intervals_goal);
  EXPECT_EQ(1200U, context->schemes.front().params.pattern.min_age);
}

// --- The region

TEST(ReclaimTest, TheDefaultRegionIsWrittenBack) {
  ReclaimParams params;
  params.physical.addr_unit = 1024;
  const auto context = build_context(params, fake_machine(), ContextUse::start);
  ASSERT_TRUE(context);
  const AddrRange units{kRam.start / 1024, kRam.end / 1024};
  EXPECT_EQ(units, params.physical.region);
  EXPECT_EQ(1024U, (*context)->addr_unit);
  EXPECT_EQ(4U, (*context)->min_region_sz);
  EXPECT_EQ(4U, (*context)->schemes.front().params.pattern.min_sz);
  EXPECT_THAT(ranges_of((*context)->targets.front()), ElementsAre(units));
}

TEST(ReclaimTest, AGivenRegionIsWatchedInWholePages) {
  ReclaimParams params;
  params.physical.region = {4 * kGiB + 1, 4 * kGiB + 5000};
  EXPECT_THAT(ranges_of(build(params)->targets.front()),
              ElementsAre(AddrRange{4 * kGiB, 4 * kGiB + 8192}));
  params.physical.region = {0, 4096};
  EXPECT_THAT(ranges_of(build(params)->targets.front()), ElementsAre(AddrRange{0, 4096}));
}

// --- What is refused

TEST(ReclaimTest, RefusesWrongParameters) {
  EXPECT_EQ(0, refused([](ReclaimParams&) {}));
  EXPECT_EQ(EINVAL, refused([](ReclaimParams& p) { p.physical.min_nr_regions = 2; }));
  EXPECT_EQ(EINVAL, refused([](ReclaimParams& p) { p.physical.max_nr_regions = 9; }));
  EXPECT_EQ(EINVAL, refused([](ReclaimParams& p) { p.physical.sample_us = 100001; }));
  EXPECT_EQ(EINVAL, refused([](ReclaimParams& p) { p.physical.sample_us = 0; }));
  EXPECT_EQ(EINVAL,
            refused([](ReclaimParams& p) { p.physical.aggr_us = p.physical.sample_us = 0; }));
  EXPECT_EQ(EINVAL, refused([](ReclaimParams& p) { p.physical.addr_unit = 0; }));
  EXPECT_EQ(EINVAL, refused([](ReclaimParams& p) { p.physical.addr_unit = 3; }));
  EXPECT_EQ(0, refused([](ReclaimParams& p) { p.physical.addr_unit = 8192; }));
  EXPECT_EQ(0, refused([](ReclaimParams& p) { p.physical.addr_unit = 5000; }))
      << "a region is of one unit at least";
  EXPECT_EQ(EINVAL, refused([](ReclaimParams& p) { p.physical.region = {8192, 4096}; }));
  EXPECT_EQ(EINVAL, refused([](ReclaimParams& p) { p.physical.region = {8192, 8192}; }));
  EXPECT_EQ(EINVAL, refused([](ReclaimParams& p) {
              p.physical.addr_unit = 4;
              p.physical.region = {0, UINT64_MAX / 2};
            }));
}

TEST(ReclaimTest, NoMemoryToWatchIsAnError) {
  ReclaimParams params;
  Machine machine = fake_machine();
  machine.system_ram_span = []() -> Result<AddrRange> { return fail(ENODATA, "none"); };
  EXPECT_EQ(ENODATA, error_of(build_context(params, machine, ContextUse::start)));
  EXPECT_EQ(AddrRange{}, params.physical.region);
  machine = fake_machine();
  machine.make_operations = [](OpsId) -> Result<std::unique_ptr<Operations>> {
    return fail(EINVAL, "no paddr");
  };
  EXPECT_EQ(EINVAL, error_of(build_context(params, machine, ContextUse::start)));
  params = {};
  EXPECT_EQ(0, error_of(build_context(params, machine, ContextUse::commit)))
      << "what runs has operations";
}

// --- At work

// Of age after a second, without quotas.
ReclaimParams eager() {
  ReclaimParams params;
  params.min_age_us = 1'000'000;
  params.quota = {.ms = 0, .bytes = 0, .reset_interval_ms = 1000};
  return params;
}

TEST(ReclaimTest, ReclaimsWhatIsCold) {
  Played played(build(eager()));
  played.metrics.free_permille = 300;
  played.hot = {4 * kGiB + 512 * kMiB, 4 * kGiB + 576 * kMiB};
  uint64_t hot_bytes = 0;
  fake_of(played.context()).on_apply = [&](const Scheme&, Application& work) {
    const AddrRange range = work.region->range;
    if (range.overlaps(played.hot)) {
      hot_bytes += std::min(range.end, played.hot.end) - std::max(range.start, played.hot.start);
    }
    work.sz_applied = range.size();
  };
  played.run_us(900'000);
  EXPECT_EQ(0U, ReclaimReport::of(played.context()).cold.nr_tried) << "not of age yet";
  played.run_us(1'600'000);
  const SchemeStat stat = ReclaimReport::of(played.context()).cold;
  EXPECT_GT(stat.sz_applied, 800 * kMiB);
  EXPECT_LT(hot_bytes, 8 * kMiB);
  EXPECT_EQ(played.scheme().stat, stat);
}

TEST(ReclaimTest, RestsAboveTheHighWatermark) {
  Played played(build(eager()));
  played.metrics.free_permille = 501;
  EXPECT_EQ(5'000'000U, check_watermarks(played.context()));
  played.metrics.free_permille = 399;
  EXPECT_EQ(0U, check_watermarks(played.context()));
  played.metrics.free_permille = 199;
  EXPECT_EQ(5'000'000U, check_watermarks(played.context()));
}

TEST(ReclaimTest, TheQuotaHoldsInEveryWindow) {
  ReclaimParams params = eager();
  params.quota.bytes = 16 * kMiB;
  Played played(build(params));
  played.metrics.free_permille = 300;
  played.run_us(1'500'000);
  uint64_t last = played.scheme().stat.sz_tried;
  for (int window = 0; window < 10; ++window) {
    played.run_us(1'000'000);
    const uint64_t now = played.scheme().stat.sz_tried;
    EXPECT_LE(now - last, 16 * kMiB);
    EXPECT_GE(now - last, 15 * kMiB);
    last = now;
  }
  EXPECT_GE(ReclaimReport::of(played.context()).cold.qt_exceeds, 9U);
}

// --- Committing

TEST(ReclaimTest, ACommitKeepsRegionsStatisticsAndWhatTheQuotaHasSpent) {
  ReclaimParams params = eager();
  params.quota.bytes = 16 * kMiB;
  params.quota.reset_interval_ms = 60'000;
  Played played(build(params));
  played.metrics.free_permille = 300;
  played.run_us(3'000'000);
  const SchemeStat before = played.scheme().stat;
  ASSERT_EQ(16 * kMiB, before.sz_tried) << "the window is used up";
  const size_t nr_regions = played.context().nr_regions();
  params.min_age_us = 2'000'000;
  params.skip_anon = true;
  params.physical.region = kRam;  // as the start has written it back
  const auto wanted = build(params, ContextUse::commit);
  EXPECT_EQ(nullptr, wanted->operations);
  ASSERT_TRUE(commit_context(played.context(), *wanted));
  EXPECT_EQ(before, played.scheme().stat);
  EXPECT_EQ(nr_regions, played.context().nr_regions());
  EXPECT_EQ(20U, played.scheme().params.pattern.min_age);
  EXPECT_THAT(played.scheme().params.filters.ops, SizeIs(1));
  played.run_us(5'000'000);
  EXPECT_EQ(before.sz_tried, played.scheme().stat.sz_tried) << "the window is used up still";
}

}  // namespace
}  // namespace damonfs
