#include "core/context.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/core/fake_operations.h"

namespace damonfs {
namespace {

using testing::ElementsAre;

class ContextTest : public testing::Test {
 protected:
  // What moving_nr_accesses() says of a region that counted `now` in the running aggregation, of
  // which `left` samples are still to come, and `last` in the one before.
  uint32_t moving(uint32_t now, uint32_t last, uint64_t left) {
    context_->schedule.passed = 1000;
    context_->schedule.next_aggregation = 1000 + left;
    Region region(pages(0, 1));
    region.nr_accesses = now;
    region.last_nr_accesses = last;
    return context_->moving_nr_accesses(region);
  }

  std::unique_ptr<Context> context_ = fake_context();
};

// 20 samples an aggregation, of which the region had 10 in the last one and all in this one.
TEST_F(ContextTest, MovingSumGlidesFromTheLastAggregationToTheRunningOne) {
  std::vector<uint32_t> sums;
  for (uint32_t passed = 0; passed <= 20; ++passed) {
    sums.push_back(moving(passed, 10, 20 - passed));
  }
  EXPECT_THAT(sums, ElementsAre(10, 10, 11, 11, 12, 12, 13, 13, 14, 14, 15, 15, 16, 16, 17, 17, 18,
                                18, 19, 19, 20));
}

TEST_F(ContextTest, MovingSumFadesWhenAccessesEnd) {
  std::vector<uint32_t> sums;
  for (uint64_t left = 21; left-- > 0;) sums.push_back(moving(0, 20, left));
  EXPECT_THAT(
      sums, ElementsAre(20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));
}

// So that neither a scheme nor a reader takes it for cold between two aggregations.
TEST_F(ContextTest, MovingSumKeepsTheOneAccessThatASweepFound) {
  context_->schedule.passed = 15;
  context_->schedule.next_aggregation = 20;
  Region region(pages(0, 1));
  region.last_nr_accesses = 1;
  EXPECT_EQ(context_->moving_nr_accesses(region), 0);
  region.swept = SweptState::accessed;
  EXPECT_EQ(context_->moving_nr_accesses(region), 1);
  region.last_nr_accesses = 20;
  EXPECT_EQ(context_->moving_nr_accesses(region), 5);
}

TEST_F(ContextTest, MovingSumStartsAsTheLastAggregation) {
  EXPECT_EQ(moving(0, 7, 20), 7);
  EXPECT_EQ(moving(3, 7, 20), 7) << "nothing of the running one counts yet";
}

TEST_F(ContextTest, MovingSumEndsAsTheRunningAggregation) {
  EXPECT_EQ(moving(3, 20, 0), 3);
  EXPECT_EQ(moving(0, 20, 0), 0);
}

TEST_F(ContextTest, MovingSumRoundsTheShareDown) {
  context_->attrs.sample_us = 3000;
  context_->attrs.aggr_us = 10000;  // 3 samples
  EXPECT_EQ(moving(0, 3, 2), 1);    // 3 * 0.6666
  EXPECT_EQ(moving(0, 3, 1), 0);    // 3 * 0.3333
  EXPECT_EQ(moving(1, 2, 1), 1 + 0);
}

TEST_F(ContextTest, MovingSumAfterTheDeadlineIsTheRunningAggregation) {
  context_->schedule.passed = 25;
  context_->schedule.next_aggregation = 20;
  Region region(pages(0, 1));
  region.nr_accesses = 4;
  region.last_nr_accesses = 9;
  EXPECT_EQ(context_->moving_nr_accesses(region), 4);
}

// More samples left than an aggregation has, as after a commit that shortened it.
TEST_F(ContextTest, MovingSumWithMoreThanAnAggregationLeft) { EXPECT_EQ(moving(2, 10, 30), 17); }

TEST_F(ContextTest, MovingSumWithIntervalsOfZero) {
  context_->attrs.sample_us = 0;
  context_->attrs.aggr_us = 0;
  EXPECT_EQ(moving(1, 9, 0), 1);
  EXPECT_EQ(moving(1, 9, 1), 9);
}

TEST_F(ContextTest, CountsIntervalsInSamples) {
  EXPECT_EQ(context_->samples_in(100000), 20);
  EXPECT_EQ(context_->samples_in(4999), 0);
  context_->attrs.sample_us = 0;
  EXPECT_EQ(context_->samples_in(77), 77);
}

TEST_F(ContextTest, SchemesApplyEveryAggregationUnlessToldOtherwise) {
  Scheme& scheme = context_->add_scheme({});
  EXPECT_EQ(context_->apply_interval_samples(scheme), 20);
  scheme.params.apply_interval_us = 12000;
  EXPECT_EQ(context_->apply_interval_samples(scheme), 2);
}

TEST_F(ContextTest, RestartSetsEveryDeadlineOneIntervalAhead) {
  Scheme& every_aggregation = context_->add_scheme({});
  Scheme& every_second = context_->add_scheme({});
  every_second.params.apply_interval_us = 1000000;
  context_->schedule = {.passed = 7, .next_aggregation = 1, .next_update = 2, .next_tune = 3};
  context_->restart_schedule();
  EXPECT_EQ(context_->schedule.passed, 7);
  EXPECT_EQ(context_->schedule.next_aggregation, 7 + 20);
  EXPECT_EQ(context_->schedule.next_update, 7 + 12000);
  EXPECT_EQ(context_->schedule.next_tune, 3) << "tuning keeps its own pace";
  EXPECT_EQ(every_aggregation.next_apply, 7 + 20);
  EXPECT_EQ(every_second.next_apply, 7 + 200);
}

TEST_F(ContextTest, OwnsTargetsAndCountsTheirRegions) {
  Target& first = context_->add_target(fake_handle(1));
  Target& second = context_->add_target(fake_handle(2));
  first.add_region(pages(0, 1));
  second.add_region(pages(0, 1));
  second.add_region(pages(1, 2));
  EXPECT_EQ(context_->nr_regions(), 3);
  const auto behind = context_->remove_target(context_->targets.iterator_to(first));
  EXPECT_EQ(&*behind, &second);
  EXPECT_EQ(context_->nr_regions(), 2);
}

TEST_F(ContextTest, LetsHandlesGoWithTheTarget) {
  auto handle = fake_handle(1);
  const std::weak_ptr<TargetHandle> watch = handle;
  Target& target = context_->add_target(std::move(handle));
  EXPECT_FALSE(watch.expired());
  context_->remove_target(context_->targets.iterator_to(target));
  EXPECT_TRUE(watch.expired());
}

TEST_F(ContextTest, LetsHandlesGoWithTheContext) {
  auto handle = fake_handle(1);
  const std::weak_ptr<TargetHandle> watch = handle;
  context_->add_target(std::move(handle)).add_region(pages(0, 1));
  context_.reset();
  EXPECT_TRUE(watch.expired());
}

TEST_F(ContextTest, KeepsSchemesInOrder) {
  Scheme& first = context_->add_scheme(scheme_with_max_snapshots(1));
  context_->add_scheme(scheme_with_max_snapshots(2));
  context_->add_scheme(scheme_with_max_snapshots(3));
  const auto behind = context_->remove_scheme(context_->schemes.iterator_to(first));
  EXPECT_EQ(behind->params.max_nr_snapshots, 2);
  EXPECT_EQ(context_->schemes.size(), 2);
  EXPECT_EQ(context_->schemes.front().stat, SchemeStat());
}

}  // namespace
}  // namespace damonfs
