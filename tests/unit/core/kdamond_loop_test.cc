#include "core/kdamond_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/commit.h"
#include "tests/unit/core/asker.h"
#include "tests/unit/core/fake_operations.h"

namespace damonfs {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;

// A virtual clock that tells of each sleep.
class TellingClock final : public Clock {
 public:
  std::function<void(uint64_t us)> on_sleep = [](uint64_t) {};
  [[nodiscard]] uint64_t now_ns() const override { return time_.now_ns(); }
  void sleep_us(uint64_t us, const std::stop_token& stop) override {
    on_sleep(us);
    time_.sleep_us(us, stop);
  }

 private:
  VirtualClock time_;
};

class KdamondLoopTest : public testing::Test {
 protected:
  KdamondLoopTest() { target_.add_region(pages(0, 100)); }

  // A scheme that is tried on every region.
  Scheme& add_scheme(uint64_t apply_interval_us = 0, Action action = Action::stat) {
    SchemeParams params;
    params.pattern = {.max_sz = UINT64_MAX, .max_nr_accesses = UINT32_MAX, .max_age = UINT32_MAX};
    params.apply_interval_us = apply_interval_us;
    params.action = action;
    return context_->add_scheme(params);
  }
  void set_intervals(uint64_t sample_us, uint64_t aggr_us, uint64_t update_us = 60000000) {
    context_->attrs.sample_us = sample_us;
    context_->attrs.aggr_us = aggr_us;
    context_->attrs.update_us = update_us;
  }
  void start() {
    loop_.emplace(*context_, clock_, requests_);
    loop_->start();
  }
  void run(uint64_t intervals) {
    for (uint64_t i = 0; i < intervals; ++i) ASSERT_TRUE(loop_->run_once(stop_.get_token()));
  }
  bool run_once() { return loop_->run_once(stop_.get_token()); }

  std::unique_ptr<Asker> ask(CallFn fn) {
    return std::make_unique<Asker>([this, fn = std::move(fn)](const std::stop_token& stop) {
      return requests_.call(fn, stop);
    });
  }
  // Asks for what the kdamond would do when `change` is committed.
  std::unique_ptr<Asker> ask_to_commit(std::function<void(Context&)> change) {
    return ask([change = std::move(change)](Context& running) {
      const auto wanted = fake_context();
      wanted->attrs = running.attrs;
      for (size_t i = 0; i < running.targets.size(); ++i) wanted->add_target(nullptr);
      for (const Scheme& scheme : running.schemes) wanted->add_scheme(scheme.params);
      change(*wanted);
      return commit_context(running, *wanted);
    });
  }
  std::unique_ptr<Asker> ask_to_walk() {
    return std::make_unique<Asker>([this](const std::stop_token& stop) {
      return requests_.walk(
          [this](const Target&, const Region& region, const Scheme& scheme, uint64_t) {
            visited_.push_back({region.range, region.nr_accesses, region.age});
            visited_by_.push_back(&scheme);
          },
          stop);
    });
  }
  Region& front() { return target_.regions().front(); }
  uint64_t passed() const { return context_->schedule.passed; }

  std::unique_ptr<Context> context_ = fake_context();
  FakeOperations& fake_ = fake_of(*context_);
  Target& target_ = context_->add_target(nullptr);
  TellingClock clock_;
  RequestQueue requests_;
  std::stop_source stop_;
  std::optional<KdamondLoop> loop_;
  std::vector<Known> visited_;
  std::vector<const Scheme*> visited_by_;
};

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
  uint32_t most = 0;
  context_->observer = [&](const Context& context) {
    most = std::max(most, context.targets.front().regions().front().nr_accesses);
  };
  start();
  run(20);
  EXPECT_EQ(most, 20);
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

// --- Pausing

class PauseTest : public KdamondLoopTest {
 protected:
  PauseTest() {
    add_scheme(5000);
    start();
    run(3);
    context_->pause = true;
    fake_.on_call = [this](const std::string& call) { calls_.push_back(call); };
    clock_.on_sleep = [this](uint64_t us) {
      sleeps_.push_back(us);
      calls_.emplace_back("sleep");
      if (sleeps_.size() == 10) at_10th_sleep_();
      if (sleeps_.size() == 1000) stop_.request_stop();  // lest a test hang
    };
  }
  std::function<void()> at_10th_sleep_ = [] {};
  std::vector<uint64_t> sleeps_;
  std::vector<std::string> calls_;
};

TEST_F(PauseTest, SamplesNothingUntilResumed) {
  at_10th_sleep_ = [this] { context_->pause = false; };
  EXPECT_TRUE(run_once());
  EXPECT_EQ(fake_.nr_prepares, 4);
  EXPECT_EQ(fake_.nr_checks, 4);
  EXPECT_EQ(passed(), 4);
  EXPECT_EQ(sleeps_, std::vector<uint64_t>(10, 5000));
}

// The interval in which it was paused goes on where it stopped: with the schemes.
TEST_F(PauseTest, GoesOnWithTheSchemes) {
  at_10th_sleep_ = [this] { context_->pause = false; };
  EXPECT_TRUE(run_once());
  calls_.erase(std::unique(calls_.begin(), calls_.end()), calls_.end());
  EXPECT_THAT(calls_, ElementsAre("prepare", "sleep", "check", "sleep", "apply"));
}

TEST_F(PauseTest, ServesCalls) {
  std::unique_ptr<Asker> asker;
  size_t served_after = 0;
  at_10th_sleep_ = [&] {
    asker = ask_to_commit([&](Context& wanted) {
      served_after = sleeps_.size();
      wanted.pause = false;
    });
  };
  EXPECT_TRUE(run_once());
  EXPECT_EQ(asker->answer(), 0);
  EXPECT_EQ(served_after, 10) << "right after the sleep in which it was asked";
}

TEST_F(PauseTest, CancelsWalks) {
  std::unique_ptr<Asker> asker;
  at_10th_sleep_ = [&] { asker = ask_to_walk(); };
  EXPECT_FALSE(run_once());
  EXPECT_EQ(asker->answer(), ECANCELED);
  EXPECT_THAT(visited_, IsEmpty());
}

TEST_F(PauseTest, CancelsAWalkThatWaitsAlready) {
  const auto asker = ask_to_walk();
  at_10th_sleep_ = [this] { context_->pause = false; };
  EXPECT_TRUE(run_once());
  EXPECT_EQ(asker->answer(), ECANCELED);
  EXPECT_THAT(visited_, IsEmpty());
}

TEST_F(PauseTest, EndsWhenStopped) {
  at_10th_sleep_ = [this] { stop_.request_stop(); };
  EXPECT_FALSE(run_once());
  EXPECT_EQ(sleeps_.size(), 10);
  EXPECT_THAT(calls_, Not(Contains("apply")));
}

TEST_F(PauseTest, EndsWhenNoTargetIsValid) {
  at_10th_sleep_ = [this] { fake_.valid = [](const Target&) { return false; }; };
  EXPECT_FALSE(run_once());
  EXPECT_EQ(sleeps_.size(), 10);
  EXPECT_THAT(calls_, Not(Contains("apply")));
}

// --- Commits in the middle

TEST_F(KdamondLoopTest, CommitInAnAggregationsMiddleStartsItAnew) {
  fake_.accessed = [](const Sample&) { return true; };
  start();
  run(7);
  const auto asker = ask_to_commit([](Context& wanted) { wanted.attrs.aggr_us = 50000; });
  run(1);
  EXPECT_EQ(asker->answer(), 0);
  EXPECT_EQ(context_->schedule.next_aggregation, 18);
  EXPECT_EQ(front().nr_accesses, 0);
  run(9);
  EXPECT_EQ(front().nr_accesses, 9);
  run(1);
  EXPECT_EQ(front().last_nr_accesses, 10);
  EXPECT_EQ(context_->schedule.next_aggregation, 28);
}

// What the interval began with is what it ends with.
TEST_F(KdamondLoopTest, CommitAtAnAggregationsEndDoesNotUndoIt) {
  fake_.accessed = [](const Sample&) { return true; };
  start();
  run(19);
  const auto asker = ask_to_commit([](Context& wanted) { wanted.attrs.aggr_us = 50000; });
  run(1);
  EXPECT_EQ(asker->answer(), 0);
  EXPECT_EQ(front().nr_accesses, 0);
  EXPECT_EQ(front().last_nr_accesses, 10) << "all of 20 are all of 10";
  EXPECT_EQ(context_->schedule.next_aggregation, 30);
}

TEST_F(KdamondLoopTest, CommitAtAnUpdateDoesNotUndoIt) {
  set_intervals(5000, 100000, 50000);
  start();
  run(9);
  const auto asker = ask_to_commit([](Context& wanted) { wanted.attrs.update_us = 15000; });
  run(1);
  EXPECT_EQ(asker->answer(), 0);
  EXPECT_EQ(fake_.nr_updates, 1);
  EXPECT_EQ(context_->schedule.next_update, 13);
}

TEST_F(KdamondLoopTest, CommittedSamplingIntervalCountsFromTheNextInterval) {
  std::vector<uint64_t> sleeps;
  clock_.on_sleep = [&](uint64_t us) { sleeps.push_back(us); };
  start();
  const auto asker = ask_to_commit([](Context& wanted) { wanted.attrs.sample_us = 1000; });
  run(2);
  EXPECT_EQ(asker->answer(), 0);
  EXPECT_THAT(sleeps, ElementsAre(5000, 1000));
}

TEST_F(KdamondLoopTest, CommitAtAnAggregationsEndSparesWhatTuningConverts) {
  set_intervals(5000, 10000);
  fake_.accessed = [](const Sample&) { return true; };
  context_->attrs.intervals_goal = {
      .access_bp = 5000, .aggrs = 1, .min_sample_us = 1000, .max_sample_us = 1000000};
  start();
  run(1);
  const auto asker = ask_to_commit([](Context& wanted) { wanted.attrs.max_nr_regions = 500; });
  run(1);
  EXPECT_EQ(asker->answer(), 0);
  EXPECT_EQ(context_->attrs.sample_us, 2500) << "twice the goal";
  EXPECT_EQ(front().last_nr_accesses, 2);
}

// Tuning by a goal that a commit has switched on catches up with the deadline that is long over.
TEST_F(KdamondLoopTest, GoalSwitchedOnByACommitTunesAtOnce) {
  start();
  run(39);
  const auto asker = ask_to_commit([](Context& wanted) {
    wanted.attrs.intervals_goal = {
        .access_bp = 400, .aggrs = 3, .min_sample_us = 5000, .max_sample_us = 1000000};
  });
  run(1);
  EXPECT_EQ(asker->answer(), 0);
  EXPECT_EQ(context_->attrs.sample_us, 10000);
  EXPECT_EQ(context_->schedule.next_tune, 60);
  run(20);
  EXPECT_EQ(context_->attrs.sample_us, 20000);
  EXPECT_EQ(context_->schedule.next_tune, 120);
  run(40);
  EXPECT_EQ(context_->attrs.sample_us, 20000);
}

// --- Walks

class WalkTest : public KdamondLoopTest {
 protected:
  WalkTest() {
    set_intervals(5000, 20000);
    target_.clear_regions();
    target_.add_region(pages(0, 1));
    context_->attrs.min_nr_regions = 3;
  }
};

TEST_F(WalkTest, WaitsForTheSlowestSchemeAndHearsEachOnce) {
  const Scheme& fast = add_scheme(10000);
  const Scheme& slow = add_scheme(35000);
  start();
  const auto asker = ask_to_walk();
  run(6);
  EXPECT_THAT(visited_by_, ElementsAre(&fast));
  EXPECT_FALSE(asker->done());
  run(1);
  EXPECT_EQ(asker->answer(), 0);
  EXPECT_THAT(visited_by_, ElementsAre(&fast, &slow));
}

TEST_F(WalkTest, SecondIsBusyAndTheFirstGoesOn) {
  add_scheme();
  start();
  const auto first = ask_to_walk();
  run(1);
  EXPECT_EQ(ask_to_walk()->answer(), EBUSY);
  run(3);
  EXPECT_EQ(first->answer(), 0);
  EXPECT_EQ(visited_.size(), 1);
}

TEST_F(WalkTest, CancelledWithoutSchemes) {
  start();
  const auto asker = ask_to_walk();
  run(1);
  EXPECT_EQ(asker->answer(), ECANCELED);
}

TEST_F(WalkTest, CancelledWhenACommitTakesTheSchemesAway) {
  add_scheme(35000);
  start();
  const auto walker = ask_to_walk();
  run(1);
  EXPECT_FALSE(walker->done());
  const auto committer = ask([](Context& running) {
    const auto wanted = fake_context();
    wanted->attrs = running.attrs;
    wanted->add_target(nullptr);
    return commit_context(running, *wanted);
  });
  run(1);
  EXPECT_EQ(committer->answer(), 0);
  EXPECT_EQ(walker->answer(), ECANCELED);
}

TEST_F(WalkTest, WaitsForASchemeThatACommitAdds) {
  const Scheme& first = add_scheme(10000);
  start();
  const auto walker = ask_to_walk();
  run(1);
  const auto committer = ask_to_commit([](Context& wanted) {
    wanted.add_scheme(wanted.schemes.front().params).params.apply_interval_us = 25000;
  });
  run(1);
  EXPECT_EQ(committer->answer(), 0);
  ASSERT_EQ(context_->schemes.size(), 2);
  EXPECT_FALSE(walker->done());
  run(4);
  EXPECT_FALSE(walker->done());
  run(1);
  EXPECT_EQ(walker->answer(), 0);
  EXPECT_THAT(visited_by_, ElementsAre(&first, &context_->schemes.back()));
}

TEST_F(WalkTest, HearsTheAgeThatMatched) {
  add_scheme(0, Action::pageout);
  start();
  front().age = 6;
  const auto asker = ask_to_walk();
  run(4);
  EXPECT_EQ(asker->answer(), 0);
  EXPECT_THAT(visited_, ElementsAre(Known{pages(0, 1), 0, 7}));
  EXPECT_EQ(front().age, 0);
}

TEST_F(WalkTest, InterruptLeavesTheLoopAlone) {
  Scheme& scheme = add_scheme();
  start();
  const auto asker = ask_to_walk();
  run(1);
  asker->interrupt();
  EXPECT_EQ(asker->answer(), EINTR);
  run(7);
  EXPECT_EQ(scheme.stat.nr_tried, 2);
  EXPECT_THAT(visited_, IsEmpty());
}

TEST_F(WalkTest, CancelledAtTheEnd) {
  add_scheme();
  start();
  const auto asker = ask_to_walk();
  run(1);
  fake_.valid = [](const Target&) { return false; };
  EXPECT_FALSE(run_once());
  requests_.close();
  EXPECT_EQ(asker->answer(), ECANCELED);
}

// --- The whole

struct Snapshot {
  std::vector<Known> regions;
  std::vector<uint32_t> last;
  friend bool operator==(const Snapshot&, const Snapshot&) = default;
};

// A third of memory is hot, with noise in time.
Snapshot simulate(uint64_t seed) {
  const auto context = fake_context(seed);
  Target& target = context->add_target(nullptr);
  target.add_region(pages(0, 30000));
  VirtualClock clock;
  fake_of(*context).accessed = [&](const Sample& sample) {
    const uint64_t page = sample.addr / kPage;
    return page >= 10000 && page < 20000 && (clock.now_ns() / 5000000 + page) % 3 != 0;
  };
  RequestQueue requests;
  KdamondLoop loop(*context, clock, requests);
  loop.start();
  for (int interval = 0; interval < 2000; ++interval) EXPECT_TRUE(loop.run_once({}));
  Snapshot snapshot{known_of(target), {}};
  for (const Region& region : target.regions()) snapshot.last.push_back(region.last_nr_accesses);
  return snapshot;
}

TEST(Simulation, SameSeedSameResult) { EXPECT_EQ(simulate(7), simulate(7)); }

TEST(Simulation, DifferentSeedDifferentResult) { EXPECT_NE(simulate(7), simulate(8)); }

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr uint64_t kSimulatedSeconds = 60;
#else
constexpr uint64_t kSimulatedSeconds = 3600;
#endif

// An hour, sampled every 5 ms, at about 100 regions, of which two ranges are hot.
TEST(Simulation, AnHourFindsTheHotRanges) {
  const auto context = fake_context();
  context->attrs.min_nr_regions = 60;
  context->attrs.max_nr_regions = 102;
  Target& target = context->add_target(nullptr);
  target.add_region(pages(0, 1 << 18));
  const std::vector<AddrRange> hot{pages(50000, 60000), pages(200000, 220000)};
  fake_of(*context).accessed = [&](const Sample& sample) {
    return (sample.addr >= hot[0].start && sample.addr < hot[0].end) ||
           (sample.addr >= hot[1].start && sample.addr < hot[1].end);
  };
  VirtualClock clock;
  RequestQueue requests;
  KdamondLoop loop(*context, clock, requests);
  const auto began = std::chrono::steady_clock::now();
  loop.start();
  uint64_t nr_samples = 0;
  while (clock.now_ns() < kSimulatedSeconds * 1000000000) {
    ASSERT_TRUE(loop.run_once({}));
    nr_samples += context->nr_regions();
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  std::cout << kSimulatedSeconds << " virtual seconds at " << nr_samples / context->schedule.passed
            << " regions took " << took.count() << " s\n";
  EXPECT_EQ(context->schedule.passed, kSimulatedSeconds * 200);
  EXPECT_THAT(covered_by(target), ElementsAre(pages(0, 1 << 18)));
  uint64_t found = 0;
  uint64_t wrong = 0;
  for (const Region& region : target.regions()) {
    if (region.last_nr_accesses < 10) continue;
    uint64_t inside = 0;
    for (const AddrRange& range : hot) {
      if (!region.range.overlaps(range)) continue;
      inside += std::min(region.range.end, range.end) - std::max(region.range.start, range.start);
    }
    found += inside;
    wrong += region.range.size() - inside;
  }
  EXPECT_GT(found, 30000 * kPage * 9 / 10);
  EXPECT_LT(wrong, 30000 * kPage / 10);
}

}  // namespace
}  // namespace damonfs
