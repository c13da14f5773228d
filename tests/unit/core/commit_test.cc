#include "core/commit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "tests/unit/core/fake_operations.h"

namespace damonfs {
namespace {

using testing::ElementsAre;

// A running context in the middle of an aggregation, and a wanted one with the same attributes.
class CommitTest : public testing::Test {
 protected:
  CommitTest() {
    running_->schedule.passed = 1010;
    running_->schedule.next_aggregation = 1020;
    running_->schedule.next_update = 12000;
    running_->schedule.next_tune = 60;
    wanted_->operations.reset();
  }
  Result<void> commit() { return commit_context(*running_, *wanted_); }
  static Target& target_of(Context& context, size_t index) {
    return *std::next(context.targets.begin(), static_cast<std::ptrdiff_t>(index));
  }
  static int process_of(const Target& target) {
    return static_cast<const FakeHandle&>(*target.handle).id;
  }
  std::vector<int> running_processes() {
    std::vector<int> processes;
    for (const Target& target : running_->targets) processes.push_back(process_of(target));
    return processes;
  }

  std::unique_ptr<Context> running_ = fake_context();
  std::unique_ptr<Context> wanted_ = fake_context();
};

// --- Targets

TEST_F(CommitTest, TargetWithoutWantedRegionsKeepsItsOwn) {
  add_region(running_->add_target(fake_handle(1)), {pages(0, 9), 5, 6}, 7);
  wanted_->add_target(fake_handle(1));
  ASSERT_TRUE(commit());
  EXPECT_THAT(known_of(target_of(*running_, 0)), ElementsAre(Known{pages(0, 9), 5, 6}));
  EXPECT_EQ(target_of(*running_, 0).regions().front().last_nr_accesses, 7);
  EXPECT_EQ(fake_of(*running_).nr_updates, 0);
}

TEST_F(CommitTest, WantedRegionsAreSet) {
  Target& own = running_->add_target(fake_handle(1));
  add_region(own, {pages(0, 4), 5, 6});
  add_region(own, {pages(4, 8), 7, 8});
  Target& wanted = wanted_->add_target(fake_handle(1));
  wanted.add_region(pages(2, 8));
  wanted.add_region(pages(20, 21));
  ASSERT_TRUE(commit());
  EXPECT_THAT(known_of(own), ElementsAre(Known{pages(2, 4), 5, 6}, Known{pages(4, 8), 7, 8},
                                         Known{pages(20, 21), 0, 0}));
}

// Wanted regions that touch are one range, whatever regions there were in it.
TEST_F(CommitTest, WantedRegionsThatTouchAreOneRange) {
  Target& own = running_->add_target(fake_handle(1));
  add_region(own, {pages(0, 6), 5, 6});
  add_region(own, {pages(6, 8), 7, 8});
  Target& wanted = wanted_->add_target(fake_handle(1));
  wanted.add_region(pages(0, 4));
  wanted.add_region(pages(4, 8));
  ASSERT_TRUE(commit());
  EXPECT_THAT(known_of(own), ElementsAre(Known{pages(0, 6), 5, 6}, Known{pages(6, 8), 7, 8}));
}

TEST_F(CommitTest, WantedRegionsAreAlignedToTheWantedUnit) {
  running_->min_region_sz = 1;
  Target& own = running_->add_target(fake_handle(1));
  wanted_->min_region_sz = kPage;
  wanted_->add_target(fake_handle(1)).add_region({kPage + 1, 2 * kPage + 1});
  ASSERT_TRUE(commit());
  EXPECT_THAT(ranges_of(own), ElementsAre(pages(1, 3)));
}

TEST_F(CommitTest, AnotherProcessInheritsTheRegionsAndIsLookedAt) {
  add_region(running_->add_target(fake_handle(1)), {pages(0, 9), 5, 6});
  wanted_->add_target(fake_handle(2));
  ASSERT_TRUE(commit());
  EXPECT_THAT(running_processes(), ElementsAre(2));
  EXPECT_THAT(known_of(target_of(*running_, 0)), ElementsAre(Known{pages(0, 9), 5, 6}));
  EXPECT_EQ(fake_of(*running_).nr_updates, 1);
}

// The operations' look at the address space would undo the regions asked for.
TEST_F(CommitTest, AnotherProcessWithRegionsIsNotLookedAt) {
  running_->add_target(fake_handle(1)).add_region(pages(0, 9));
  wanted_->add_target(fake_handle(2)).add_region(pages(3, 4));
  ASSERT_TRUE(commit());
  EXPECT_THAT(running_processes(), ElementsAre(2));
  EXPECT_THAT(ranges_of(target_of(*running_, 0)), ElementsAre(pages(3, 4)));
  EXPECT_EQ(fake_of(*running_).nr_updates, 0);
}

TEST_F(CommitTest, SameProcessMayBeHeldByAnotherHandle) {
  running_->add_target(fake_handle(1));
  const auto handle = fake_handle(1);
  wanted_->add_target(handle);
  ASSERT_TRUE(commit());
  EXPECT_EQ(target_of(*running_, 0).handle, handle);
  EXPECT_EQ(fake_of(*running_).nr_updates, 0);
}

TEST_F(CommitTest, TargetsWithoutHandlePair) {
  add_region(running_->add_target(nullptr), {pages(0, 9), 5, 6});
  wanted_->add_target(nullptr);
  ASSERT_TRUE(commit());
  EXPECT_THAT(known_of(target_of(*running_, 0)), ElementsAre(Known{pages(0, 9), 5, 6}));
  EXPECT_EQ(fake_of(*running_).nr_updates, 0);
}

TEST_F(CommitTest, HandleInsteadOfNoneIsLookedAt) {
  running_->add_target(nullptr);
  wanted_->add_target(fake_handle(1));
  ASSERT_TRUE(commit());
  EXPECT_THAT(running_processes(), ElementsAre(1));
  EXPECT_EQ(fake_of(*running_).nr_updates, 1);
}

TEST_F(CommitTest, TargetsPairByIndex) {
  add_region(running_->add_target(fake_handle(1)), {pages(0, 1), 1, 1});
  add_region(running_->add_target(fake_handle(2)), {pages(0, 1), 2, 2});
  wanted_->add_target(fake_handle(2));
  wanted_->add_target(fake_handle(1));
  ASSERT_TRUE(commit());
  EXPECT_THAT(running_processes(), ElementsAre(2, 1));
  EXPECT_THAT(known_of(target_of(*running_, 0)), ElementsAre(Known{pages(0, 1), 1, 1}));
  EXPECT_THAT(known_of(target_of(*running_, 1)), ElementsAre(Known{pages(0, 1), 2, 2}));
}

TEST_F(CommitTest, SurplusTargetsGo) {
  for (const int id : {1, 2, 3}) running_->add_target(fake_handle(id)).add_region(pages(0, 1));
  wanted_->add_target(fake_handle(1));
  ASSERT_TRUE(commit());
  EXPECT_THAT(running_processes(), ElementsAre(1));
  EXPECT_EQ(running_->nr_regions(), 1);
}

TEST_F(CommitTest, NewTargetsComeWithTheirRegions) {
  running_->add_target(fake_handle(1)).add_region(pages(0, 1));
  wanted_->add_target(fake_handle(1));
  wanted_->add_target(fake_handle(2)).add_region(pages(5, 7));
  ASSERT_TRUE(commit());
  EXPECT_THAT(running_processes(), ElementsAre(1, 2));
  EXPECT_THAT(known_of(target_of(*running_, 1)), ElementsAre(Known{pages(5, 7), 0, 0}));
  EXPECT_EQ(fake_of(*running_).nr_updates, 0);
}

TEST_F(CommitTest, NewTargetsWithoutRegionsAreLookedAt) {
  running_->add_target(fake_handle(1));
  wanted_->add_target(fake_handle(1));
  wanted_->add_target(fake_handle(2));
  fake_of(*running_).on_update = [](Context& context) {
    target_of(context, 1).add_region(pages(8, 9));
  };
  ASSERT_TRUE(commit());
  EXPECT_THAT(ranges_of(target_of(*running_, 1)), ElementsAre(pages(8, 9)));
}

TEST_F(CommitTest, ObsoleteTargetsGoAndTheOthersPairByTheirOwnIndex) {
  for (const uint32_t id : {1U, 2U, 3U}) {
    add_region(running_->add_target(fake_handle(static_cast<int>(id))), {pages(0, 1), id, id});
  }
  wanted_->add_target(fake_handle(1));
  wanted_->add_target(fake_handle(2)).obsolete = true;
  wanted_->add_target(fake_handle(3));
  ASSERT_TRUE(commit());
  EXPECT_THAT(running_processes(), ElementsAre(1, 3));
  EXPECT_THAT(known_of(target_of(*running_, 1)), ElementsAre(Known{pages(0, 1), 3, 3}));
}

TEST_F(CommitTest, ObsoleteTargetBesideNewOnes) {
  running_->add_target(fake_handle(1)).add_region(pages(0, 1));
  wanted_->add_target(fake_handle(1)).obsolete = true;
  wanted_->add_target(fake_handle(2)).add_region(pages(5, 6));
  ASSERT_TRUE(commit());
  EXPECT_THAT(running_processes(), ElementsAre(2));
  EXPECT_THAT(ranges_of(target_of(*running_, 0)), ElementsAre(pages(5, 6)));
}

// --- What is refused, and then changes nothing

class RefusedCommitTest : public CommitTest {
 protected:
  RefusedCommitTest() {
    add_region(running_->add_target(fake_handle(1)), {pages(0, 4), 5, 6}, 7);
    running_->add_scheme(scheme_with_max_snapshots(1)).stat.nr_tried = 9;
    wanted_->add_target(fake_handle(2)).add_region(pages(1, 2));
    wanted_->add_scheme(scheme_with_max_snapshots(2));
    wanted_->add_scheme({});
    wanted_->pause = true;
    wanted_->addr_unit = 2;
    wanted_->min_region_sz = 1;
    wanted_->ops_id = OpsId::paddr;
    auto operations = std::make_unique<FakeOperations>();
    operations->on_init = [this](Context& context) { introduced_to_ = &context; };
    wanted_->operations = std::move(operations);
    wanted_->attrs.sample_us = 1000;
  }
  void expect_refused_without_a_trace() {
    const Operations* const operations = running_->operations.get();
    EXPECT_EQ(error_of(commit()), EINVAL);
    EXPECT_EQ(running_->operations.get(), operations);
    EXPECT_EQ(introduced_to_, nullptr);
    expect_targets_and_schemes_as_before();
    expect_settings_as_before();
  }

  const Context* introduced_to_ = nullptr;  // whom the wanted operations were told of

 private:
  void expect_targets_and_schemes_as_before() {
    EXPECT_THAT(running_processes(), ElementsAre(1));
    EXPECT_THAT(known_of(target_of(*running_, 0)), ElementsAre(Known{pages(0, 4), 5, 6}));
    EXPECT_EQ(target_of(*running_, 0).regions().front().last_nr_accesses, 7);
    ASSERT_EQ(running_->schemes.size(), 1);
    EXPECT_EQ(running_->schemes.front().params.max_nr_snapshots, 1);
    EXPECT_EQ(running_->schemes.front().stat.nr_tried, 9);
    EXPECT_EQ(fake_of(*running_).nr_updates, 0);
  }
  void expect_settings_as_before() {
    EXPECT_EQ(running_->attrs, MonitoringAttrs());
    EXPECT_FALSE(running_->pause);
    EXPECT_EQ(running_->addr_unit, 1);
    EXPECT_EQ(running_->min_region_sz, 4096);
    EXPECT_EQ(running_->ops_id, OpsId::vaddr);
    EXPECT_EQ(running_->schedule.passed, 1010);
    EXPECT_EQ(running_->schedule.next_aggregation, 1020);
    EXPECT_EQ(running_->schedule.next_update, 12000);
  }
};

TEST_F(RefusedCommitTest, BadAttributes) {
  wanted_->attrs.min_nr_regions = 2;
  expect_refused_without_a_trace();
}

TEST_F(RefusedCommitTest, SmallestRegionThatIsNoPowerOfTwo) {
  for (const uint64_t unit : {0, 3, 4095}) {
    wanted_->min_region_sz = unit;
    expect_refused_without_a_trace();
  }
}

TEST_F(RefusedCommitTest, ObsoleteTargetWithoutCounterpart) {
  wanted_->add_target(fake_handle(3)).obsolete = true;
  expect_refused_without_a_trace();
}

TEST_F(RefusedCommitTest, TheSameIsAcceptedOnceItIsRight) {
  ASSERT_TRUE(commit());
  EXPECT_THAT(running_processes(), ElementsAre(2));
  EXPECT_EQ(running_->schemes.size(), 2);
  EXPECT_EQ(running_->attrs.sample_us, 1000);
  EXPECT_TRUE(running_->pause);
  EXPECT_EQ(running_->addr_unit, 2);
  EXPECT_EQ(running_->min_region_sz, 1);
  EXPECT_EQ(running_->ops_id, OpsId::paddr);
  EXPECT_EQ(introduced_to_, running_.get());
}

// --- Schemes

TEST_F(CommitTest, SchemesKeepTheirStatisticsAndTheirTime) {
  Scheme& scheme = running_->add_scheme(scheme_with_max_snapshots(1));
  scheme.stat.nr_tried = 3;
  scheme.stat.nr_snapshots = 4;
  scheme.next_apply = 1015;
  SchemeParams params;
  params.pattern.min_sz = 7;
  params.action = Action::pageout;
  params.target_nid = 2;
  params.apply_interval_us = 50000;
  params.max_nr_snapshots = 5;
  wanted_->add_scheme(params);
  ASSERT_TRUE(commit());
  ASSERT_EQ(running_->schemes.size(), 1);
  EXPECT_EQ(&running_->schemes.front(), &scheme);
  EXPECT_EQ(scheme.params.pattern.min_sz, 7);
  EXPECT_EQ(scheme.params.action, Action::pageout);
  EXPECT_EQ(scheme.params.target_nid, 2);
  EXPECT_EQ(scheme.params.apply_interval_us, 50000);
  EXPECT_EQ(scheme.params.max_nr_snapshots, 5);
  EXPECT_EQ(scheme.stat.nr_tried, 3);
  EXPECT_EQ(scheme.stat.nr_snapshots, 4);
  EXPECT_EQ(scheme.next_apply, 1015);
}

TEST_F(CommitTest, NewSchemesStartOneIntervalAhead) {
  running_->add_scheme({}).stat.nr_tried = 3;
  wanted_->add_scheme({});
  wanted_->add_scheme(scheme_every_us(50000));
  ASSERT_TRUE(commit());
  ASSERT_EQ(running_->schemes.size(), 2);
  EXPECT_EQ(running_->schemes.front().stat.nr_tried, 3);
  EXPECT_EQ(running_->schemes.back().stat, SchemeStat());
  EXPECT_EQ(running_->schemes.back().next_apply, 1010 + 10);
}

TEST_F(CommitTest, NewSchemesGoByNewIntervals) {
  wanted_->attrs.sample_us = 1000;
  wanted_->add_scheme(scheme_every_us(50000));
  ASSERT_TRUE(commit());
  EXPECT_EQ(running_->schemes.back().next_apply, 1010 + 50);
}

TEST_F(CommitTest, SurplusSchemesGo) {
  running_->add_scheme(scheme_with_max_snapshots(1));
  running_->add_scheme(scheme_with_max_snapshots(2));
  wanted_->add_scheme(scheme_with_max_snapshots(3));
  ASSERT_TRUE(commit());
  ASSERT_EQ(running_->schemes.size(), 1);
  EXPECT_EQ(running_->schemes.front().params.max_nr_snapshots, 3);
}

// --- Attributes

TEST_F(CommitTest, SameAttributesLeaveCountsAndDeadlines) {
  add_region(running_->add_target(fake_handle(1)), {pages(0, 9), 5, 6}, 7);
  wanted_->add_target(fake_handle(1));
  ASSERT_TRUE(commit());
  EXPECT_EQ(running_->schedule.next_aggregation, 1020);
  EXPECT_EQ(running_->schedule.next_update, 12000);
  EXPECT_THAT(known_of(target_of(*running_, 0)), ElementsAre(Known{pages(0, 9), 5, 6}));
}

class ChangedAttrsTest : public CommitTest,
                         public testing::WithParamInterface<void (*)(MonitoringAttrs&)> {};

TEST_P(ChangedAttrsTest, RestartDeadlinesAndTheRunningAggregation) {
  Region& region = add_region(running_->add_target(fake_handle(1)), {pages(0, 9), 5, 6}, 7);
  Scheme& scheme = running_->add_scheme({});
  wanted_->add_target(fake_handle(1));
  wanted_->add_scheme({});
  GetParam()(wanted_->attrs);
  ASSERT_TRUE(commit());
  EXPECT_EQ(running_->attrs, wanted_->attrs);
  EXPECT_EQ(running_->schedule.passed, 1010);
  EXPECT_EQ(running_->schedule.next_aggregation,
            1010 + wanted_->attrs.aggr_us / wanted_->attrs.sample_us);
  EXPECT_EQ(running_->schedule.next_update,
            1010 + wanted_->attrs.update_us / wanted_->attrs.sample_us);
  EXPECT_EQ(scheme.next_apply, running_->schedule.next_aggregation);
  EXPECT_EQ(running_->schedule.next_tune, 60);
  EXPECT_EQ(region.nr_accesses, 0);
}

INSTANTIATE_TEST_SUITE_P(
    Each, ChangedAttrsTest,
    testing::Values([](MonitoringAttrs& attrs) { attrs.sample_us = 10000; },
                    [](MonitoringAttrs& attrs) { attrs.aggr_us = 200000; },
                    [](MonitoringAttrs& attrs) { attrs.update_us = 1000000; },
                    [](MonitoringAttrs& attrs) { attrs.min_nr_regions = 20; },
                    [](MonitoringAttrs& attrs) { attrs.max_nr_regions = 20; },
                    [](MonitoringAttrs& attrs) { attrs.intervals_goal.access_bp = 400; },
                    [](MonitoringAttrs& attrs) { attrs.intervals_goal.min_sample_us = 1; },
                    [](MonitoringAttrs& attrs) { attrs.intervals_goal.max_sample_us = 9; },
                    [](MonitoringAttrs& attrs) {
                      attrs.intervals_goal = {.aggrs = 3, .max_sample_us = 5000};
                    }));

TEST_F(CommitTest, ChangedIntervalsConvertWhatIsKnown) {
  Region& region = add_region(running_->add_target(fake_handle(1)), {pages(0, 9), 5, 6}, 10);
  wanted_->add_target(fake_handle(1));
  wanted_->attrs.sample_us = 1000;
  wanted_->attrs.aggr_us = 200000;  // 200 samples where there were 20
  ASSERT_TRUE(commit());
  EXPECT_EQ(region.last_nr_accesses, 100);
  EXPECT_EQ(region.nr_accesses, 0) << "the running aggregation starts anew";
  EXPECT_EQ(region.age, 3);
}

TEST_F(CommitTest, AtAnAggregationsEndCountsAreConverted) {
  running_->schedule.passed = running_->schedule.next_aggregation;
  Region& region = add_region(running_->add_target(fake_handle(1)), {pages(0, 9), 5, 6}, 10);
  wanted_->add_target(fake_handle(1));
  wanted_->attrs.sample_us = 1000;  // 100 samples
  ASSERT_TRUE(commit());
  EXPECT_EQ(region.nr_accesses, 25);
  EXPECT_EQ(region.last_nr_accesses, 50);
}

// Tuning keeps the number of samples that the user asked for last.
TEST_F(CommitTest, RemembersTheSamplesOfAnAggregation) {
  wanted_->attrs.aggr_us = 40000;
  ASSERT_TRUE(commit());
  EXPECT_EQ(running_->aggr_samples, 8);
}

TEST_F(CommitTest, SetAttrsKeepsTheSamplesOfAnAggregation) {
  MonitoringAttrs attrs = running_->attrs;
  attrs.aggr_us = 40000;
  set_attrs(*running_, attrs);
  EXPECT_EQ(running_->aggr_samples, 20);
}

// --- The rest

TEST_F(CommitTest, PausesAndResumes) {
  wanted_->pause = true;
  ASSERT_TRUE(commit());
  EXPECT_TRUE(running_->pause);
  wanted_->pause = false;
  ASSERT_TRUE(commit());
  EXPECT_FALSE(running_->pause);
}

TEST_F(CommitTest, OperationsOfAnotherKindTakeOver) {
  auto operations = std::make_unique<FakeOperations>();
  const FakeOperations* const expected = operations.get();
  wanted_->operations = std::move(operations);
  wanted_->ops_id = OpsId::fvaddr;
  wanted_->addr_unit = 16;
  wanted_->min_region_sz = 256;
  wanted_->add_target(fake_handle(1));
  ASSERT_TRUE(commit());
  EXPECT_EQ(running_->operations.get(), expected);
  EXPECT_EQ(running_->ops_id, OpsId::fvaddr);
  EXPECT_EQ(running_->addr_unit, 16);
  EXPECT_EQ(running_->min_region_sz, 256);
  EXPECT_EQ(expected->nr_updates, 1) << "the new ones look at the new target";
}

TEST_F(CommitTest, OperationsOfTheSameKindStay) {
  const Operations* const own = running_->operations.get();
  wanted_->operations = std::make_unique<FakeOperations>();
  ASSERT_TRUE(commit());
  EXPECT_EQ(running_->operations.get(), own);
}

// --- Targets that follow

TEST_F(CommitTest, FollowedTargetsPairByProcess) {
  add_region(running_->add_target(fake_handle(1)), {pages(0, 9), 1, 1});
  add_region(running_->add_target(fake_handle(2)), {pages(0, 9), 5, 6});
  add_region(running_->add_target(fake_handle(3)), {pages(0, 9), 7, 8});
  wanted_->add_target(fake_handle(3));
  wanted_->add_target(fake_handle(4));
  wanted_->add_target(fake_handle(2));
  wanted_->follows = true;
  ASSERT_TRUE(commit());
  EXPECT_THAT(running_processes(), ElementsAre(3, 4, 2));
  EXPECT_THAT(known_of(target_of(*running_, 0)), ElementsAre(Known{pages(0, 9), 7, 8}));
  EXPECT_THAT(known_of(target_of(*running_, 2)), ElementsAre(Known{pages(0, 9), 5, 6}));
  EXPECT_TRUE(running_->follows);
}

TEST_F(CommitTest, FollowedTargetsComeAndGoByThemselves) {
  const auto stays = fake_handle(2);
  add_region(running_->add_target(fake_handle(1)), {pages(0, 9), 1, 1});
  Target& kept = running_->add_target(stays);
  add_region(kept, {pages(0, 9), 5, 6});
  Scheme& scheme = running_->add_scheme({});
  scheme.quota.charge_target_from = &running_->targets.front();
  commit_followed(*running_, std::vector<std::shared_ptr<TargetHandle>>{stays, fake_handle(7)});
  EXPECT_THAT(running_processes(), ElementsAre(2, 7));
  EXPECT_EQ(&kept, &running_->targets.front());
  EXPECT_EQ(nullptr, scheme.quota.charge_target_from);
  scheme.quota.charge_target_from = &kept;
  commit_followed(*running_, std::vector<std::shared_ptr<TargetHandle>>{fake_handle(7), stays});
  EXPECT_THAT(running_processes(), ElementsAre(7, 2));
  EXPECT_EQ(&kept, scheme.quota.charge_target_from);
  commit_followed(*running_, {});
  EXPECT_TRUE(running_->targets.empty());
  EXPECT_TRUE(running_->has_valid_target()) << "others may come";
}

}  // namespace
}  // namespace damonfs
