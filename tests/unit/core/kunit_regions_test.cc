// The figures of the kernel's KUnit cases of regions, monitoring and filters (7.3,
// mm/damon/tests/core-kunit.h and vaddr-kunit.h), held against ours. tests/kunit.md lists all
// cases.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iterator>
#include <vector>

#include "core/access_rate.h"
#include "core/adjust.h"
#include "core/core_filters.h"
#include "core/feedback.h"
#include "tests/unit/core/adjust_fixture.h"

namespace damonfs {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::ElementsAreArray;

// Addresses in these cases are plain numbers: the smallest region is one unit.
class KunitRegions : public AdjustTest {
 protected:
  KunitRegions() { context_->min_region_sz = 1; }

  // The target's regions after they were `old` and became those of `wanted`.
  std::vector<AddrRange> after_set(const std::vector<AddrRange>& old,
                                   const std::vector<AddrRange>& wanted) {
    target_.clear_regions();
    for (const AddrRange& range : old) target_.add_region(range);
    target_.set_regions(wanted, 1);
    return ranges_of(target_);
  }
};

// damon_test_split_at
TEST_F(KunitRegions, SplitAt) {
  Region& left = add({0, 100}, 42, 15, 10);
  const Region& right = target_.split_region(left, 25);
  EXPECT_THAT(known_of(target_), ElementsAre(Known{{0, 25}, 42, 10}, Known{{25, 100}, 42, 10}));
  EXPECT_EQ(15U, left.last_nr_accesses);
  EXPECT_EQ(15U, right.last_nr_accesses);
}

// damon_test_merge_two
TEST_F(KunitRegions, MergeTwo) {
  add({0, 100}, 10, 0, 9);
  add({100, 300}, 20, 0, 21);
  merge_two_regions(target_, target_.regions().begin(), std::next(target_.regions().begin()));
  EXPECT_THAT(known_of(target_), ElementsAre(Known{{0, 300}, 16, 17}));
}

// damon_test_merge_regions_of: threshold 9, size limit 9,999.
TEST_F(KunitRegions, MergeRegionsOf) {
  add({0, 100}, 0);
  add({100, 112}, 0);
  add({114, 122}, 10);
  add({122, 130}, 10);
  add({130, 156}, 20);
  add({156, 170}, 30);
  add({170, 184}, 1);
  add({184, 230}, 2);
  add({230, 10170}, 5);
  merge_regions(*context_, 9, 9999);
  EXPECT_THAT(ranges_of(target_),
              ElementsAre(AddrRange{0, 112}, AddrRange{114, 130}, AddrRange{130, 156},
                          AddrRange{156, 170}, AddrRange{170, 230}, AddrRange{230, 10170}));
}

// damon_test_split_regions_of; a first split cuts each region in two.
TEST_F(KunitRegions, SplitRegionsOf) {
  context_->attrs.max_nr_regions = 1000;
  context_->min_region_sz = 5;
  for (const AddrRange& range : {AddrRange{0, 220}, AddrRange{300, 400}, AddrRange{500, 700}}) {
    target_.add_region(range);
  }
  split_regions(*context_);
  EXPECT_GT(target_.nr_regions(), 3U);
  EXPECT_LE(target_.nr_regions(), 6U);
  std::vector<uint64_t> beyond;
  for (const Region& region : target_.regions()) beyond.push_back(region.range.size() % 5);
  EXPECT_THAT(beyond, Each(0U));
  EXPECT_THAT(covered_by(target_),
              ElementsAre(AddrRange{0, 220}, AddrRange{300, 400}, AddrRange{500, 700}));
}

// damon_test_split_above_half_progresses
TEST_F(KunitRegions, SplitAboveHalfProgresses) {
  context_->attrs.min_nr_regions = 10;
  context_->attrs.max_nr_regions = 1500;
  for (uint64_t i = 0; i < 760; ++i) {
    add({i * 100, (i + 1) * 100}, i % 2 == 0 ? 100 : 0, 0, 5);
  }
  split_regions(*context_);
  EXPECT_GT(target_.nr_regions(), 760U);
  EXPECT_LE(target_.nr_regions(), 1500U);
}

// damon_test_aggregate
TEST_F(KunitRegions, ResetAggregated) {
  context_->remove_target(context_->targets.begin());
  const std::vector<std::vector<Known>> targets = {{{{10, 15}, 42}, {{20, 27}, 95}, {{30, 40}, 84}},
                                                   {{{5, 31}, 10}, {{42, 45}, 20}, {{49, 55}, 30}},
                                                   {{{13, 23}, 0}, {{33, 44}, 1}, {{55, 66}, 2}}};
  for (const auto& regions : targets) {
    Target& target = context_->add_target(nullptr);
    for (const Known& known : regions) add_region(target, known);
  }
  reset_aggregated(*context_);
  ASSERT_EQ(3U, context_->targets.size());
  auto before = targets.begin();
  for (const Target& target : context_->targets) {
    ASSERT_EQ(3U, target.nr_regions());
    auto known = (before++)->begin();
    for (const Region& region : target.regions()) {
      EXPECT_EQ(known->range, region.range);
      EXPECT_EQ(0U, region.nr_accesses);
      EXPECT_EQ((known++)->nr_accesses, region.last_nr_accesses);
    }
  }
}

// damon_test_set_regions
TEST_F(KunitRegions, SetRegions) {
  EXPECT_THAT(after_set({}, {{5, 15}, {15, 25}}), ElementsAre(AddrRange{5, 15}, AddrRange{15, 25}));
  EXPECT_THAT(after_set({{4, 16}, {24, 32}}, {{18, 23}}), ElementsAre(AddrRange{18, 23}));
  EXPECT_THAT(after_set({{4, 16}, {24, 32}}, {{8, 28}}),
              ElementsAre(AddrRange{8, 16}, AddrRange{16, 24}, AddrRange{24, 28}));
  EXPECT_THAT(after_set({{0, 4}, {4, 17}}, {{0, 15}, {25, 40}}),
              ElementsAre(AddrRange{0, 4}, AddrRange{4, 15}, AddrRange{25, 40}));
  EXPECT_THAT(after_set({{0, 4}, {42, 52}}, {{0, 15}, {25, 40}, {44, 50}}),
              ElementsAre(AddrRange{0, 15}, AddrRange{25, 40}, AddrRange{44, 50}));
}

// damon_test_apply_three_regions1 to 4
TEST_F(KunitRegions, ApplyThreeRegions) {
  const std::vector<AddrRange> old = {{10, 20}, {20, 30}, {50, 55}, {55, 57},
                                      {57, 59}, {70, 80}, {80, 90}, {90, 100}};
  struct Case {
    std::vector<AddrRange> wanted;
    std::vector<AddrRange> regions;
  };
  const std::vector<Case> cases = {{{{5, 27}, {45, 55}, {73, 104}},
                                    {{5, 20}, {20, 27}, {45, 55}, {73, 80}, {80, 90}, {90, 104}}},
                                   {{{5, 27}, {56, 57}, {65, 104}},
                                    {{5, 20}, {20, 27}, {56, 57}, {65, 80}, {80, 90}, {90, 104}}},
                                   {{{5, 27}, {61, 63}, {65, 104}},
                                    {{5, 20}, {20, 27}, {61, 63}, {65, 80}, {80, 90}, {90, 104}}},
                                   {{{5, 7}, {30, 32}, {65, 68}}, {{5, 7}, {30, 32}, {65, 68}}}};
  for (const auto& [wanted, regions] : cases) {
    EXPECT_THAT(after_set(old, wanted), ElementsAreArray(regions));
  }
}

// damon_test_apply_min_nr_regions
TEST_F(KunitRegions, ApplyMinNrRegions) {
  struct Case {
    uint64_t size;
    uint64_t min_region_sz;
    uint64_t min_nr_regions;
    uint64_t max_region_sz;
    size_t nr_regions;
  };
  for (const Case& figures : {Case{10, 1, 10, 1, 10}, Case{10, 1, 15, 1, 10}, Case{10, 2, 2, 6, 2},
                              Case{10, 2, 10, 2, 5}}) {
    target_.clear_regions();
    target_.add_region({0, figures.size});
    context_->min_region_sz = figures.min_region_sz;
    context_->attrs.min_nr_regions = figures.min_nr_regions;
    EXPECT_EQ(figures.max_region_sz, apply_min_nr_regions(*context_));
    EXPECT_EQ(figures.nr_regions, target_.nr_regions());
  }
}

// damon_test_update_monitoring_result; each line goes by the attributes of the first.
TEST(KunitMonitoring, UpdateMonitoringResult) {
  const MonitoringAttrs old{.sample_us = 10, .aggr_us = 1000, .intervals_goal = {}};
  struct Case {
    uint64_t sample_us;
    uint64_t aggr_us;
    uint32_t nr_accesses;
    uint32_t age;
  };
  Region region({3, 7});
  region.nr_accesses = 15;
  region.age = 20;
  for (const Case& now : {Case{100, 10000, 15, 2}, Case{1, 1000, 150, 2}, Case{1, 100, 150, 20}}) {
    const MonitoringAttrs attrs{
        .sample_us = now.sample_us, .aggr_us = now.aggr_us, .intervals_goal = {}};
    rescale_region(region, old, attrs, false);
    EXPECT_EQ(now.nr_accesses, region.nr_accesses);
    EXPECT_EQ(now.age, region.age);
  }
}

// damon_test_set_attrs
TEST(KunitMonitoring, SetAttrs) {
  MonitoringAttrs valid;
  valid.sample_us = 5000;
  valid.aggr_us = 100'000;
  valid.min_nr_regions = 10;
  valid.max_nr_regions = 1000;
  EXPECT_EQ(0, error_of(valid.validate()));
  MonitoringAttrs attrs = valid;
  attrs.min_nr_regions = 1;
  EXPECT_EQ(EINVAL, error_of(attrs.validate()));
  attrs = valid;
  attrs.max_nr_regions = 9;
  EXPECT_EQ(EINVAL, error_of(attrs.validate()));
  attrs = valid;
  attrs.aggr_us = 4999;
  EXPECT_EQ(EINVAL, error_of(attrs.validate()));
}

// damon_test_mvsum, with windows of 10,000 samples, and damon_test_nr_accesses_mvsum, of 10. The
// probes' hits are summed alike.
TEST(KunitMonitoring, MovingSums) {
  struct Case {
    uint64_t samples;
    uint64_t passed;
    uint32_t now;
    uint32_t last;
    uint32_t sum;
  };
  const auto context = fake_context();
  for (const Case& figures :
       {Case{10000, 0, 0, 49, 49}, Case{10000, 3000, 3, 10, 10}, Case{10000, 5000, 3, 10, 8},
        Case{10000, 9000, 32, 100, 42}, Case{10000, 10000, 42, 49, 42}, Case{10, 0, 5, 3, 3},
        Case{10, 0, 0, 7, 7}, Case{10, 5, 3, 10, 8}, Case{10, 8, 3, 10, 5},
        Case{10, 10, 42, 49, 42}}) {
    context->attrs.sample_us = 1;
    context->attrs.aggr_us = figures.samples;
    context->schedule.passed = figures.passed;
    context->schedule.next_aggregation = figures.samples;
    Region region({0, 4096});
    region.nr_accesses = figures.now;
    region.last_nr_accesses = figures.last;
    region.probe_hits[1] = static_cast<uint8_t>(figures.now);
    region.last_probe_hits[1] = static_cast<uint8_t>(figures.last);
    EXPECT_EQ(figures.sum, context->moving_nr_accesses(region));
    EXPECT_EQ(figures.sum, context->moving_probe_hits(region)[1]);
  }
}

// damon_test_feed_loop_next_input
TEST(KunitMonitoring, FeedLoopNextInput) {
  constexpr uint64_t kLast = 900'000;
  EXPECT_GT(feed_loop(kLast, 200), kLast);
  EXPECT_LT(feed_loop(kLast, 250'000'000), kLast);
  EXPECT_GT(feed_loop(kLast, 200), feed_loop(kLast, 2000));
}

// damos_test_filter_out: a filter on addresses 2 to 6 that rejects.
TEST(KunitFilters, FilterOut) {
  struct Case {
    AddrRange region;
    CoreVerdict verdict;
    std::vector<AddrRange> after;
  };
  Filters filters;
  filters.core.push_back({.type = FilterType::addr,
                          .matching = true,
                          .allow = false,
                          .memcg_path = {},
                          .addr = {2, 6}});
  const auto context = fake_context();
  context->min_region_sz = 1;
  for (const Case& figures :
       {Case{{3, 5}, CoreVerdict::rejected, {{3, 5}}}, Case{{1, 2}, CoreVerdict::pass, {{1, 2}}},
        Case{{6, 8}, CoreVerdict::pass, {{6, 8}}},
        Case{{1, 4}, CoreVerdict::pass, {{1, 2}, {2, 4}}},
        Case{{2, 8}, CoreVerdict::rejected, {{2, 6}, {6, 8}}}}) {
    Target& target = context->add_target(nullptr);
    Region& region = target.add_region(figures.region);
    EXPECT_EQ(figures.verdict, ask_core_filters(filters, *context, target, 0, region));
    EXPECT_THAT(ranges_of(target), ElementsAreArray(figures.after));
  }
}

// damon_test_set_filters_default_reject
TEST(KunitFilters, DefaultReject) {
  Filters filters;
  const auto expect = [&](bool core, bool ops) {
    EXPECT_EQ(core, filters.core_default_reject());
    EXPECT_EQ(ops, filters.ops_default_reject());
  };
  expect(false, false);
  Filter of_target;
  of_target.type = FilterType::target;
  of_target.matching = of_target.allow = true;
  filters.core.push_back(of_target);
  expect(true, false);
  filters.core.back().allow = false;
  expect(false, false);
  Filter of_anon;
  of_anon.matching = of_anon.allow = true;
  filters.ops.push_back(of_anon);
  expect(false, true);
  filters.core.back().allow = true;
  expect(false, true);
}

}  // namespace
}  // namespace damonfs
