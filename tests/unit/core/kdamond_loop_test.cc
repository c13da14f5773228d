// What a kdamond does in its sampling intervals, when, in which order, and until when.
#include "core/kdamond_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "tests/unit/core/kdamond_loop_fixture.h"

namespace damonfs {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::Not;

// --- Starting

TEST_F(KdamondLoopTest, StartSetsTheFirstDeadlines) {
  context_->attrs.intervals_goal = {.aggrs = 3, .max_sample_us = 5000};
  context_->schedule = {.passed = 9, .next_aggregation = 9, .next_update = 9, .next_tune = 9};
  const Scheme& scheme = add_scheme(30000);
  start();
  EXPECT_EQ(passed(), 0);
  EXPECT_EQ(context_->schedule.next_aggregation, 20);
  EXPECT_EQ(context_->schedule.next_update, 12000);
  EXPECT_EQ(context_->schedule.next_tune, 60);
  EXPECT_EQ(context_->aggr_samples, 20);
  EXPECT_EQ(scheme.next_apply, 6);
  EXPECT_EQ(clock_.now_ns(), 0);
}

TEST_F(KdamondLoopTest, StartCutsWhatTheOperationsFind) {
  target_.clear_regions();
  fake_.on_init = [](Context& context) { context.targets.front().add_region(pages(0, 35)); };
  start();
  EXPECT_EQ(target_.nr_regions(), 9);  // of 4 pages, the last of 3
  EXPECT_EQ(front().range, pages(0, 4));
  EXPECT_EQ(target_.regions().back().range, pages(32, 35));
}

// --- Being observed

TEST_F(KdamondLoopTest, AnObserverLooksEverySamplingInterval) {
  std::vector<uint32_t> seen;
  fake_.accessed = [](const Sample&) { return true; };
  context_->observer = [&seen](const Context& context) {
    seen.push_back(context.targets.front().regions().front().nr_accesses);
  };
  start();
  run(3);
  EXPECT_THAT(seen, ElementsAre(1, 2, 3));
}

TEST_F(KdamondLoopTest, AnObserverSeesWhatSchemesHaveJustDone) {
  const Scheme& scheme = add_scheme(5000);
  std::vector<uint64_t> seen;
  context_->observer = [&](const Context&) { seen.push_back(scheme.stat.nr_snapshots); };
  start();
  run(3);
  EXPECT_THAT(seen, ElementsAre(1, 2, 3));
}

TEST_F(KdamondLoopTest, AnObserverSeesAnAggregationsCountsAtItsEnd) {
  fake_.accessed = [](const Sample&) { return true; };
  uint32_t max = 0;
  context_->observer = [&](const Context& context) {
    max = std::max(max, context.targets.front().regions().front().nr_accesses);
  };
  start();
  run(20);
  EXPECT_EQ(max, 20);
}

TEST_F(KdamondLoopTest, OneSampleThatCouldNotBeToldMakesTheAggregationUnknown) {
  fake_.unknown = [&](const Sample&) { return fake_.nr_checks == 8; };
  bool unknown = false;
  context_->observer = [&](const Context& context) {
    unknown = unknown || context.targets.front().regions().front().unknown;
  };
  start();
  run(20);
  EXPECT_TRUE(unknown);
  run(1);
  const Region& region = context_->targets.front().regions().front();
  EXPECT_FALSE(region.unknown);
  EXPECT_TRUE(region.last_unknown);
}

// --- The order of things

TEST_F(KdamondLoopTest, OneIterationAfterTheOther) {
  set_intervals(5000, 10000, 20000);
  add_scheme(15000);
  context_->attrs.min_nr_regions = 3;
  std::vector<std::string> calls;
  fake_.on_call = [&](const std::string& call) { calls.push_back(call); };
  clock_.on_sleep = [&](uint64_t us) { calls.push_back("sleep " + std::to_string(us)); };
  start();
  EXPECT_THAT(calls, ElementsAre("init"));
  for (int interval = 1; interval <= 4; ++interval) {
    calls.clear();
    const auto asker = ask([&](Context&) {
      calls.emplace_back("call");
      return Result<void>();
    });
    run(1);
    asker->answer();
    std::vector<std::string> expected{"prepare", "sleep 5000", "check", "call"};
    if (interval == 3) expected.emplace_back("apply");
    if (interval == 4) expected.emplace_back("update");
    // One call for all regions, or one for each: that is left to the schemes.
    calls.erase(std::unique(calls.begin(), calls.end()), calls.end());
    EXPECT_EQ(calls, expected) << "interval " << interval;
  }
}

// Calls and schemes see the finished aggregation, merged; the update sees a new one begun.
TEST_F(KdamondLoopTest, AnAggregationEndsBetweenSchemesAndUpdate) {
  set_intervals(5000, 10000, 10000);
  add_scheme();
  fake_.accessed = [](const Sample&) { return true; };
  start();
  run(1);
  uint32_t in_call = 0;
  uint32_t in_apply = 0;
  uint32_t age_in_call = 0;
  const auto asker = ask([&](Context&) {
    in_call = front().nr_accesses;
    age_in_call = front().age;
    return Result<void>();
  });
  fake_.on_apply = [&](const Scheme&, Application&) { in_apply = front().nr_accesses; };
  bool updated = false;
  fake_.on_update = [&](Context&) {
    updated = true;
    EXPECT_EQ(front().nr_accesses, 0);
    EXPECT_EQ(front().last_nr_accesses, 2);
  };
  front().last_nr_accesses = 2;  // so that it ages
  run(1);
  asker->answer();
  EXPECT_EQ(in_call, 2);
  EXPECT_EQ(age_in_call, 1);
  EXPECT_EQ(in_apply, 2);
  EXPECT_TRUE(updated);
}

// --- When

class AggregationTimes : public KdamondLoopTest {
 protected:
  // The intervals, of the first `intervals`, in which regions aged.
  std::vector<uint64_t> aggregations(uint64_t intervals) {
    start();
    std::vector<uint64_t> at;
    uint32_t age = 0;
    for (uint64_t i = 0; i < intervals; ++i) {
      EXPECT_TRUE(run_once());
      if (front().age != age) at.push_back(passed());
      age = front().age;
    }
    return at;
  }
};

TEST_F(AggregationTimes, EveryAggregationInterval) {
  EXPECT_THAT(aggregations(70), ElementsAre(20, 40, 60));
}

TEST_F(AggregationTimes, RestOfADivisionIsDropped) {
  set_intervals(3000, 10000);
  EXPECT_THAT(aggregations(10), ElementsAre(3, 6, 9));
}

TEST_F(AggregationTimes, EverySampleWhenBothAreTheSame) {
  set_intervals(5000, 5000);
  EXPECT_THAT(aggregations(3), ElementsAre(1, 2, 3));
}

TEST_F(AggregationTimes, SamplingIntervalOfZeroCountsAsOneButTakesNoTime) {
  set_intervals(0, 4);
  EXPECT_THAT(aggregations(9), ElementsAre(4, 8));
  EXPECT_EQ(clock_.now_ns(), 0);
}

TEST_F(AggregationTimes, EverySampleWhenBothAreZero) {
  set_intervals(0, 0);
  EXPECT_THAT(aggregations(3), ElementsAre(1, 2, 3));
}

TEST_F(KdamondLoopTest, TimePassesByTheSamplingInterval) {
  start();
  run(50);
  EXPECT_EQ(clock_.now_ns(), uint64_t{50} * 5000 * 1000);
  EXPECT_EQ(fake_.nr_prepares, 50);
  EXPECT_EQ(fake_.nr_checks, 50);
}

TEST_F(KdamondLoopTest, UpdatesEveryUpdateInterval) {
  set_intervals(5000, 100000, 35000);
  std::vector<uint64_t> at;
  fake_.on_update = [&](Context& context) { at.push_back(context.schedule.passed); };
  start();
  run(23);
  EXPECT_THAT(at, ElementsAre(7, 14, 21));
}

TEST_F(KdamondLoopTest, UpdatesEachTimeWhenTheIntervalIsZero) {
  set_intervals(5000, 100000, 0);
  start();
  run(5);
  EXPECT_EQ(fake_.nr_updates, 5);
}

TEST_F(KdamondLoopTest, SchemesApplyEveryApplyInterval) {
  add_scheme(35000);
  std::vector<uint64_t> at;
  fake_.on_apply = [&](const Scheme&, Application&) {
    if (at.empty() || at.back() != passed()) at.push_back(passed());
  };
  start();
  run(23);
  EXPECT_THAT(at, ElementsAre(7, 14, 21));
}

// --- Sampling

TEST_F(KdamondLoopTest, SamplesOneAddressOfEachRegionAnewEachTime) {
  context_->add_target(nullptr).add_region(pages(500, 501));
  start();
  std::vector<uint64_t> seen;
  bool unaligned = false;
  for (int interval = 0; interval < 15; ++interval) {
    run(1);
    ASSERT_EQ(fake_.prepared.size(), context_->nr_regions());
    auto sample = fake_.prepared.begin();
    for (const Target& target : context_->targets) {
      for (const Region& region : target.regions()) {
        EXPECT_EQ(sample->target, &target);
        EXPECT_EQ(sample->addr, region.sampling_addr);
        EXPECT_GE(sample->addr, region.range.start);
        EXPECT_LT(sample->addr, region.range.end);
        unaligned |= sample->addr % kPage != 0;
        ++sample;
      }
    }
    EXPECT_THAT(seen, Not(Contains(front().sampling_addr)));
    seen.push_back(front().sampling_addr);
  }
  EXPECT_TRUE(unaligned) << "any byte may be sampled";
}

TEST_F(KdamondLoopTest, CountsSamplesThatWereAccessed) {
  fake_.accessed = [this](const Sample& sample) {
    return sample.addr < 10 * kPage ? passed() % 2 == 0 : sample.addr < 20 * kPage;
  };
  start();  // 10 regions of 10 pages
  run(19);
  auto region = target_.regions().begin();
  EXPECT_EQ(region->nr_accesses, 9);
  EXPECT_EQ((++region)->nr_accesses, 19);
  EXPECT_EQ((++region)->nr_accesses, 0);
  run(1);
  std::vector<uint32_t> last;
  for (const Region& r : target_.regions()) {
    EXPECT_EQ(r.nr_accesses, 0);
    if (r.range.start % (10 * kPage) == 0) last.push_back(r.last_nr_accesses);
  }
  EXPECT_THAT(last, ElementsAre(10, 20, 0, 0, 0, 0, 0, 0, 0, 0));
}

// The threshold is a tenth, rounded down, of the largest count there is in any target. Of pairs of
// regions whose counts differ by 1, 2 and 3 those up to it are merged.
class MergeThreshold : public KdamondLoopTest, public testing::WithParamInterface<uint64_t> {};

TEST_P(MergeThreshold, IsATenthOfTheLargestCount) {
  const uint64_t largest = GetParam();
  context_->attrs.min_nr_regions = 3;
  target_.clear_regions();
  for (const uint64_t page : {0, 1, 3, 4, 6, 7}) target_.add_region(pages(page, page + 1));
  Target& other = context_->add_target(nullptr);
  other.add_region(pages(0, 10));
  const std::map<uint64_t, uint64_t> counts{{0, 2}, {1, 3}, {3, 2}, {4, 4}, {6, 2}, {7, 5}};
  fake_.accessed = [&](const Sample& sample) {
    const uint64_t count = sample.target == &other ? largest : counts.at(sample.addr / kPage);
    return passed() <= count;
  };
  start();
  std::vector<AddrRange> merged;
  add_scheme().next_apply = 20;
  fake_.on_apply = [&](const Scheme&, Application& work) {
    if (work.target == &target_ && work.region->range.size() > kPage) {
      merged.push_back(work.region->range);
    }
  };
  run(20);
  std::vector<AddrRange> expected;
  for (uint64_t pair = 0; pair < largest / 10; ++pair) {
    expected.push_back(pages(3 * pair, 3 * pair + 2));
  }
  EXPECT_EQ(merged, expected);
}

INSTANTIATE_TEST_SUITE_P(Counts, MergeThreshold, testing::Values(9, 10, 19, 20));

// The limit for merging is what the aggregation before came to; regions that an update brought are
// cut by the new one at once.
TEST_F(KdamondLoopTest, MergesByTheLimitOfTheAggregationBefore) {
  set_intervals(5000, 10000, 5000);
  context_->attrs.min_nr_regions = 3;
  target_.clear_regions();
  target_.add_region(pages(0, 9));
  start();  // three of 3 pages
  fake_.on_update = [&](Context&) {
    target_.set_regions(std::vector<AddrRange>{pages(0, 9), pages(100, 130)}, kPage);
  };
  add_scheme().next_apply = 2;
  std::vector<AddrRange> regions;
  fake_.on_apply = [&](const Scheme&, Application& work) { regions.push_back(work.region->range); };
  run(2);
  EXPECT_THAT(regions, ElementsAre(pages(0, 3), pages(3, 6), pages(6, 9), pages(100, 113),
                                   pages(113, 126), pages(126, 130)));
  regions.clear();
  run(2);
  EXPECT_EQ(regions.front(), pages(0, 9));
}

// --- Ending

TEST_F(KdamondLoopTest, GoesOnWhileOneTargetIsValid) {
  Target& other = context_->add_target(nullptr);
  fake_.valid = [&](const Target& target) { return &target == &other; };
  start();
  EXPECT_TRUE(run_once());
}

TEST_F(KdamondLoopTest, EndsWhenNoTargetIsValid) {
  context_->add_target(nullptr);
  start();
  EXPECT_TRUE(run_once());
  fake_.valid = [](const Target&) { return false; };
  EXPECT_FALSE(run_once());
  EXPECT_EQ(fake_.nr_prepares, 1);
  EXPECT_EQ(passed(), 1);
}

TEST_F(KdamondLoopTest, EndsWithoutTargets) {
  context_->remove_target(context_->targets.iterator_to(target_));
  start();
  EXPECT_FALSE(run_once());
}

// Physical memory cannot go away, so nobody asks.
TEST_F(KdamondLoopTest, PhysicalMemoryNeedsNoTarget) {
  context_->ops_id = OpsId::paddr;
  context_->remove_target(context_->targets.iterator_to(target_));
  start();
  EXPECT_TRUE(run_once());
}

TEST_F(KdamondLoopTest, DoesNothingOnceStopped) {
  start();
  stop_.request_stop();
  EXPECT_FALSE(run_once());
  EXPECT_EQ(fake_.nr_prepares, 0);
}

TEST_F(KdamondLoopTest, StopInASleepFinishesTheInterval) {
  set_intervals(5000, 5000);
  add_scheme();
  start();
  clock_.on_sleep = [this](uint64_t) { stop_.request_stop(); };
  std::vector<std::string> calls;
  fake_.on_call = [&](const std::string& call) { calls.push_back(call); };
  EXPECT_FALSE(run_once());
  EXPECT_THAT(calls, Contains("apply"));
  EXPECT_EQ(passed(), 1);
}

}  // namespace
}  // namespace damonfs
