// Probes from the sampled page to the scheme: what is counted, kept and compared.
#include "core/probes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <optional>
#include <string>
#include <vector>

#include "core/access_rate.h"
#include "core/adjust.h"
#include "core/commit.h"
#include "core/damos.h"
#include "core/kdamond_loop.h"
#include "tests/unit/core/fake_operations.h"
#include "tests/unit/core/virtual_clock.h"

namespace damonfs {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

ProbeFilter filter(ProbeFilterType type, bool matching, bool allow) {
  return {.type = type, .matching = matching, .allow = allow, .path = {}};
}

Probe weighing(uint32_t weight) { return {.preps = {}, .filters = {}, .weight = weight}; }

// --- One page

// Whether a probe of `filters` hits a page of which only the question `yes` is answered so.
bool hits(std::vector<ProbeFilter> filters, ProbeFilterType yes) {
  const Probe probe{.preps = {}, .filters = std::move(filters)};
  return probe.hits([yes](const ProbeFilter& asked) { return asked.type == yes; });
}

TEST(Probe, TheFirstFilterThatMatchesDecides) {
  const auto anon = ProbeFilterType::anon;
  const auto memcg = ProbeFilterType::memcg;
  EXPECT_TRUE(hits({filter(anon, true, true)}, anon));
  EXPECT_FALSE(hits({filter(anon, true, false)}, anon));
  EXPECT_FALSE(hits({filter(anon, false, true)}, anon));
  EXPECT_TRUE(hits({filter(anon, false, true)}, memcg));
  EXPECT_TRUE(hits({filter(memcg, true, true), filter(anon, false, false)}, memcg));
  EXPECT_FALSE(hits({filter(memcg, false, false), filter(anon, true, true)}, anon));
}

TEST(Probe, WithoutAMatchTheLastFilterSaysTheOpposite) {
  const auto anon = ProbeFilterType::anon;
  const auto memcg = ProbeFilterType::memcg;
  EXPECT_FALSE(hits({filter(anon, true, true)}, memcg));
  EXPECT_TRUE(hits({filter(anon, true, false)}, memcg));
  EXPECT_TRUE(hits({}, memcg));
}

// --- The loop

class ProbesTest : public testing::Test {
 protected:
  ProbesTest() {
    context_->attrs.min_nr_regions = 3;
    context_->attrs.sample_us = 5000;
    context_->attrs.aggr_us = 20000;
    fake_.knows_probes = true;
  }
  void start() {
    loop_.emplace(*context_, clock_, requests_);
    loop_->start();
  }
  void run(int intervals) {
    for (int i = 0; i < intervals; ++i) ASSERT_TRUE(loop_->run_once(stop_.get_token()));
  }
  Region& add(AddrRange range, ProbeHits hits = {}, ProbeHits last = {}) {
    Region& region = target_.add_region(range);
    region.probe_hits = hits;
    region.last_probe_hits = last;
    return region;
  }
  std::vector<ProbeHits> hits() const {
    std::vector<ProbeHits> found;
    for (const Region& region : target_.regions()) found.push_back(region.probe_hits);
    return found;
  }
  std::vector<ProbeHits> last_hits() const {
    std::vector<ProbeHits> found;
    for (const Region& region : target_.regions()) found.push_back(region.last_probe_hits);
    return found;
  }

  std::unique_ptr<Context> context_ = fake_context();
  FakeOperations& fake_ = fake_of(*context_);
  Target& target_ = context_->add_target(nullptr);
  VirtualClock clock_;
  RequestQueue requests_;
  std::stop_source stop_;
  std::optional<KdamondLoop> loop_;
};

TEST_F(ProbesTest, HitsAreCountedByProbeAndRegion) {
  add(pages(0, 1));
  add(pages(10, 11));
  context_->probes = {weighing(0), weighing(0)};
  // Of the first region every sample hits the first probe, of the second every one the second.
  fake_.probes_hit = [](const Sample& sample) -> uint8_t { return sample.addr < kPage ? 1 : 2; };
  start();
  run(3);
  EXPECT_THAT(hits(), ElementsAre(ProbeHits{3, 0}, ProbeHits{0, 3}));
}

TEST_F(ProbesTest, HitsOfAProbeThatThereIsNotAreNotCounted) {
  add(pages(0, 1));
  context_->probes = {weighing(0)};
  fake_.probes_hit = [](const Sample&) -> uint8_t { return 0xff; };
  start();
  run(1);
  EXPECT_THAT(hits(), ElementsAre(ProbeHits{1}));
}

TEST_F(ProbesTest, AnAggregationBeginsAtZero) {
  add(pages(0, 1));
  context_->probes = {weighing(0)};
  fake_.probes_hit = [](const Sample&) -> uint8_t { return 1; };
  start();
  run(4);
  EXPECT_THAT(hits(), ElementsAre(ProbeHits{}));
  EXPECT_THAT(last_hits(), ElementsAre(ProbeHits{4}));
  run(1);
  EXPECT_THAT(hits(), ElementsAre(ProbeHits{1}));
}

TEST_F(ProbesTest, ACounterThatIsFullStaysFull) {
  add(pages(0, 1), {254});
  context_->probes = {weighing(0)};
  context_->attrs.aggr_us = 5000000;
  fake_.probes_hit = [](const Sample&) -> uint8_t { return 1; };
  start();
  run(3);
  EXPECT_THAT(hits(), ElementsAre(ProbeHits{255}));
}

TEST_F(ProbesTest, OperationsAreAskedInOrder) {
  add(pages(0, 1));
  std::vector<std::string> calls;
  fake_.on_call = [&](const std::string& call) { calls.push_back(call); };
  start();
  run(1);
  EXPECT_THAT(calls, ElementsAre("init", "prepare", "check")) << "without a probe";
  context_->probes = {weighing(0)};
  calls.clear();
  run(1);
  EXPECT_THAT(calls, ElementsAre("prepare", "prepare_probes", "check", "apply_probes"));
}

// --- Weights

TEST_F(ProbesTest, WithWeightsAccessesAreNotMonitored) {
  add(pages(0, 1));
  context_->probes = {weighing(0), weighing(1)};
  fake_.accessed = [](const Sample&) { return true; };
  fake_.probes_hit = [](const Sample&) -> uint8_t { return 1; };
  std::vector<std::string> calls;
  fake_.on_call = [&](const std::string& call) { calls.push_back(call); };
  start();
  run(2);
  EXPECT_THAT(calls, ElementsAre("init", "prepare_probes", "apply_probes", "prepare_probes",
                                 "apply_probes"));
  EXPECT_FALSE(fake_.accesses_monitored);
  EXPECT_EQ(target_.regions().front().nr_accesses, 0);
  EXPECT_THAT(hits(), ElementsAre(ProbeHits{2}));
}

TEST_F(ProbesTest, RegionsAreMergedByTheWeightedSum) {
  context_->probes = {weighing(3), weighing(1)};
  const auto set = [this] {
    target_.clear_regions();
    add(pages(0, 1), {2, 0}).nr_accesses = 20;  // 6
    add(pages(1, 2), {1, 4});                   // 7
    add(pages(2, 3), {3, 0});                   // 9
  };
  set();
  merge_regions(*context_, 0, UINT64_MAX);
  EXPECT_EQ(target_.nr_regions(), 3);
  set();
  merge_regions(*context_, 1, UINT64_MAX);
  EXPECT_THAT(ranges_of(target_), ElementsAre(pages(0, 2), pages(2, 3)));
}

TEST_F(ProbesTest, TooManyRegionsAreMergedUpToTheLargestSum) {
  context_->probes = {weighing(100)};
  context_->attrs.max_nr_regions = 1;
  add(pages(0, 1), {0});
  add(pages(1, 2), {4});
  merge_regions(*context_, 0, UINT64_MAX);
  EXPECT_EQ(target_.nr_regions(), 1);
}

TEST_F(ProbesTest, AgeFollowsTheWeightedSum) {
  context_->probes = {weighing(10)};
  add(pages(0, 1), {2}, {3}).age = 5;    // 20 after 30
  add(pages(10, 11), {1}, {3}).age = 5;  // 10 after 30
  add(pages(20, 21), {0}, {1}).age = 5;  // none after some
  add(pages(30, 31), {0}, {0}).nr_accesses = 9;
  merge_regions(*context_, 10, UINT64_MAX);
  EXPECT_THAT(known_of(target_),
              ElementsAre(Known{pages(0, 1), 0, 6}, Known{pages(10, 11), 0, 0},
                          Known{pages(20, 21), 0, 0}, Known{pages(30, 31), 9, 1}));
}

TEST_F(ProbesTest, WithoutWeightsHitsDoNotKeepRegionsApart) {
  context_->probes = {weighing(0)};
  add(pages(0, 1), {20});
  add(pages(1, 2), {0});
  merge_regions(*context_, 0, UINT64_MAX);
  EXPECT_THAT(hits(), ElementsAre(ProbeHits{10}));
}

// --- Merging and splitting

TEST_F(ProbesTest, MergedHitsAreMeansBySize) {
  add(pages(0, 3), {20, 1, 0, 255});
  add(pages(3, 4), {0, 2, 0, 255});
  merge_two_regions(target_, target_.regions().begin(), std::next(target_.regions().begin()));
  EXPECT_THAT(hits(), ElementsAre(ProbeHits{15, 1, 0, 255}));
}

TEST_F(ProbesTest, ASplitKeepsHits) {
  Region& region = add(pages(0, 4), {1, 2, 3, 4}, {5, 6, 7, 8});
  target_.split_region(region, kPage);
  EXPECT_THAT(hits(), ElementsAre(ProbeHits{1, 2, 3, 4}, ProbeHits{1, 2, 3, 4}));
  EXPECT_THAT(last_hits(), ElementsAre(ProbeHits{5, 6, 7, 8}, ProbeHits{5, 6, 7, 8}));
}

TEST_F(ProbesTest, WhatASchemeCutIsJoinedOnlyWhereHitsAreAlike) {
  context_->attrs.min_nr_regions = 1;
  add(pages(0, 1), {1});
  add(pages(1, 2), {1});
  add(pages(2, 3), {2});
  add(pages(3, 4), {2}, {1});
  SchemeParams params;
  params.pattern = kEverything;
  context_->add_scheme(params);
  apply_schemes(*context_, clock_, {});
  EXPECT_THAT(ranges_of(target_), ElementsAre(pages(0, 2), pages(2, 3), pages(3, 4)));
}

// --- Sums over the last aggregation interval

TEST_F(ProbesTest, MovingHitsTakeWhatTheRunningAggregationLacksFromTheLast) {
  context_->probes = {weighing(3), weighing(100)};
  const Region& region = add(pages(0, 1), {2, 0}, {4, 1});
  context_->schedule = {.passed = 3, .next_aggregation = 4};  // a quarter is to come
  EXPECT_EQ(context_->moving_probe_hits(region), (ProbeHits{3, 0}));
  EXPECT_EQ(context_->moving_probe_hits_wsum(region), 9);
  context_->schedule = {.passed = 4, .next_aggregation = 4};
  EXPECT_EQ(context_->moving_probe_hits(region), (ProbeHits{2, 0}));
  context_->schedule = {.passed = 4, .next_aggregation = 8};
  EXPECT_EQ(context_->moving_probe_hits(region), (ProbeHits{4, 1}));
  EXPECT_EQ(context_->moving_probe_hits_wsum(region), 112);
}

TEST_F(ProbesTest, SchemesCanAskForTheSum) {
  context_->probes = {weighing(2)};
  add(pages(0, 1), {1});
  add(pages(10, 11), {2});
  add(pages(20, 21), {3});
  SchemeParams params;
  params.pattern = kEverything;
  Filter wanted;
  wanted.type = FilterType::probe_hits_wsum;
  wanted.matching = wanted.allow = true;
  wanted.min_sz = 3;
  wanted.max_sz = 5;
  params.filters.core = {wanted};
  Scheme& scheme = context_->add_scheme(params);
  std::vector<AddrRange> tried;
  fake_.on_apply = [&](const Scheme&, Application& work) { tried.push_back(work.region->range); };
  apply_schemes(*context_, clock_, {});
  EXPECT_THAT(tried, ElementsAre(pages(10, 11)));
  scheme.params.filters.core[0].max_sz = 6;  // inclusive
  tried.clear();
  scheme.next_apply = 0;
  apply_schemes(*context_, clock_, {});
  EXPECT_THAT(tried, ElementsAre(pages(10, 11), pages(20, 21)));
  scheme.params.filters.core[0].allow = false;
  tried.clear();
  scheme.next_apply = 0;
  apply_schemes(*context_, clock_, {});
  EXPECT_THAT(tried, ElementsAre(pages(0, 1)));
}

// --- New parameters

TEST_F(ProbesTest, HitsFollowNewIntervals) {
  Region region(pages(0, 1));
  region.probe_hits = {10};
  region.last_probe_hits = {20, 3, 100};
  MonitoringAttrs from;
  from.sample_us = 5000;
  from.aggr_us = 100000;
  MonitoringAttrs to = from;
  to.aggr_us = 200000;
  rescale_region(region, from, to, true);
  EXPECT_EQ(region.probe_hits, ProbeHits{});
  EXPECT_EQ(region.last_probe_hits, (ProbeHits{40, 6, 200}));
  rescale_region(region, from, to, false);
  EXPECT_EQ(region.last_probe_hits, (ProbeHits{80, 12, 255}));
}

TEST_F(ProbesTest, ACommitKeepsTheHitsOfProbesThatStay) {
  const Probe anon{.preps = {}, .filters = {filter(ProbeFilterType::anon, true, true)}};
  const Probe file{.preps = {}, .filters = {filter(ProbeFilterType::anon, true, false)}};
  Region& region = add(pages(0, 1), {1, 2, 3}, {4, 5, 6});
  region.nr_accesses = 7;
  context_->probes = {anon, anon, anon};
  const auto wanted = fake_context();
  wanted->attrs = context_->attrs;
  wanted->add_target(nullptr);
  wanted->probes = {anon, file};
  ASSERT_TRUE(commit_context(*context_, *wanted));
  EXPECT_EQ(context_->probes, wanted->probes);
  EXPECT_EQ(region.probe_hits, (ProbeHits{1}));
  EXPECT_EQ(region.last_probe_hits, (ProbeHits{4}));
  EXPECT_EQ(region.nr_accesses, 7);
  wanted->probes[0].weight = 1;
  ASSERT_TRUE(commit_context(*context_, *wanted));
  EXPECT_EQ(region.probe_hits, (ProbeHits{1}));
  EXPECT_EQ(region.nr_accesses, 0) << "nobody counts them any more";
}

TEST_F(ProbesTest, OperationsWithoutProbesRefuseThem) {
  fake_.knows_probes = false;
  const auto wanted = fake_context();
  wanted->attrs = context_->attrs;
  wanted->add_target(nullptr);
  ASSERT_TRUE(commit_context(*context_, *wanted));
  wanted->probes = {weighing(0)};
  EXPECT_EQ(error_of(commit_context(*context_, *wanted)), EINVAL);
  EXPECT_THAT(context_->probes, IsEmpty());
}

}  // namespace
}  // namespace damonfs
