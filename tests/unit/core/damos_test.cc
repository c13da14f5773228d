// Schemes' application as far as it is about monitoring: which regions match, what is counted and
// what is reported. Quotas, filters and watermarks have tests of their own.
#include "core/damos.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/unit/core/fake_operations.h"
#include "tests/unit/core/virtual_clock.h"

namespace damonfs {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(AccessPattern, BoundsAreInclusive) {
  const AccessPattern pattern{.min_sz = 10,
                              .max_sz = 20,
                              .min_nr_accesses = 1,
                              .max_nr_accesses = 2,
                              .min_age = 5,
                              .max_age = 7};
  EXPECT_TRUE(pattern.matches(10, 1, 5));
  EXPECT_TRUE(pattern.matches(20, 2, 7));
  EXPECT_FALSE(pattern.matches(9, 1, 5));
  EXPECT_FALSE(pattern.matches(21, 1, 5));
  EXPECT_FALSE(pattern.matches(10, 0, 5));
  EXPECT_FALSE(pattern.matches(10, 3, 5));
  EXPECT_FALSE(pattern.matches(10, 1, 4));
  EXPECT_FALSE(pattern.matches(10, 1, 8));
}

TEST(AccessPattern, DefaultMatchesNoRegion) { EXPECT_FALSE(AccessPattern().matches(4096, 0, 0)); }

// At the end of the 5th aggregation, where every scheme is due.
class DamosTest : public testing::Test {
 protected:
  DamosTest() {
    context_->schedule.passed = 100;
    context_->schedule.next_aggregation = 100;
    fake_of(*context_).on_apply = [this](const Scheme&, Application& work) {
      tried_.push_back(work.region->range);
      work.sz_applied = sz_applied_;
      work.sz_filter_passed = sz_filter_passed_;
    };
  }
  Scheme& add_scheme(Action action = Action::stat, AccessPattern pattern = kEverything) {
    SchemeParams params;
    params.action = action;
    params.pattern = pattern;
    Scheme& scheme = context_->add_scheme(params);
    scheme.next_apply = 100;
    return scheme;
  }
  // Applies the schemes; returns the regions tried.
  std::vector<AddrRange> apply(const RequestQueue::Walking& walk = {}) {
    tried_.clear();
    apply_schemes(*context_, clock_, walk);
    return tried_;
  }

  VirtualClock clock_;
  std::unique_ptr<Context> context_ = fake_context();
  Target& target_ = context_->add_target(nullptr);
  std::vector<AddrRange> tried_;
  uint64_t sz_applied_ = 0;
  uint64_t sz_filter_passed_ = 0;
};

TEST_F(DamosTest, TriesRegionsThatMatch) {
  add_region(target_, {pages(0, 1), 3, 4});
  add_region(target_, {pages(1, 5), 3, 4});  // too big
  add_region(target_, {pages(5, 6), 2, 4});  // too cold
  add_region(target_, {pages(6, 7), 3, 3});  // too young
  add_region(target_, {pages(9, 10), 5, 9});
  AccessPattern pattern = kEverything;
  pattern.max_sz = 3 * kPage;
  pattern.min_nr_accesses = 3;
  pattern.min_age = 4;
  add_scheme(Action::stat, pattern);
  EXPECT_THAT(apply(), ElementsAre(pages(0, 1), pages(9, 10)));
}

// In the middle of an aggregation the moving sum decides, not what was counted so far.
TEST_F(DamosTest, MatchesTheMovingSum) {
  context_->schedule.next_aggregation = 110;
  add_region(target_, {pages(0, 1), 3, 0}, 10);  // 3 + 10 / 2
  AccessPattern pattern = kEverything;
  pattern.min_nr_accesses = pattern.max_nr_accesses = 8;
  add_scheme(Action::stat, pattern);
  EXPECT_THAT(apply(), ElementsAre(pages(0, 1)));
}

// They count alike as long as the whole region does in which the border was put.
TEST_F(DamosTest, BordersThatSweepsPutStay) {
  add_region(target_, {pages(0, 10), 1, 0}).swept = SweptState::not_accessed;
  add_region(target_, {pages(10, 11), 1, 0}).swept = SweptState::accessed;
  add_region(target_, {pages(11, 20), 1, 0}).swept = SweptState::not_accessed;
  add_region(target_, {pages(20, 30), 1, 0}).swept = SweptState::not_accessed;
  context_->attrs.min_nr_regions = 1;
  add_scheme();
  apply();
  EXPECT_THAT(ranges_of(target_), ElementsAre(pages(0, 10), pages(10, 11), pages(11, 30)))
      << "the last two are joined, as what a quota cuts";
}

TEST_F(DamosTest, CountsWhatItTriedAndApplied) {
  add_region(target_, {pages(0, 2), 0, 0});
  add_region(target_, {pages(4, 7), 0, 0});
  Scheme& scheme = add_scheme(Action::pageout);
  sz_applied_ = kPage;
  sz_filter_passed_ = 2 * kPage;
  apply();
  SchemeStat expected{.nr_tried = 2,
                      .sz_tried = 5 * kPage,
                      .nr_applied = 2,
                      .sz_applied = 2 * kPage,
                      .sz_ops_filter_passed = 4 * kPage,
                      .nr_snapshots = 1};
  EXPECT_EQ(scheme.stat, expected);
}

TEST_F(DamosTest, CountsTriesThatDidNothing) {
  add_region(target_, {pages(0, 2), 0, 0});
  Scheme& scheme = add_scheme();
  apply();
  EXPECT_EQ(scheme.stat.nr_tried, 1);
  EXPECT_EQ(scheme.stat.sz_tried, 2 * kPage);
  EXPECT_EQ(scheme.stat.nr_applied, 0);
  EXPECT_EQ(scheme.stat.sz_applied, 0);
}

TEST_F(DamosTest, ActionsRestartTheAge) {
  add_region(target_, {pages(0, 1), 3, 4});
  add_scheme(Action::willneed);
  apply();
  EXPECT_THAT(known_of(target_), ElementsAre(Known{pages(0, 1), 3, 0}));
}

// So that what cannot be done (swap is full, say) is not tried again at once.
TEST_F(DamosTest, TriesThatDidNothingRestartTheAgeToo) {
  add_region(target_, {pages(0, 1), 0, 4});
  AccessPattern old = kEverything;
  old.min_age = 4;
  Scheme& scheme = add_scheme(Action::pageout, old);
  sz_applied_ = 0;
  EXPECT_THAT(apply(), ElementsAre(pages(0, 1)));
  EXPECT_EQ(scheme.stat.nr_applied, 0);
  EXPECT_THAT(known_of(target_), ElementsAre(Known{pages(0, 1), 0, 0}));
  scheme.next_apply = 100;
  EXPECT_THAT(apply(), IsEmpty());
  target_.regions().front().age = 4;
  scheme.next_apply = 100;
  EXPECT_THAT(apply(), ElementsAre(pages(0, 1))) << "once it is old again";
}

TEST_F(DamosTest, StatKeepsTheAge) {
  add_region(target_, {pages(0, 1), 3, 4});
  add_scheme(Action::stat);
  apply();
  EXPECT_THAT(known_of(target_), ElementsAre(Known{pages(0, 1), 3, 4}));
}

TEST_F(DamosTest, ActsOnRegionsThatAnEarlierSchemeLeftMatching) {
  add_region(target_, {pages(0, 1), 0, 4});
  add_scheme(Action::cold);
  AccessPattern old = kEverything;
  old.min_age = 1;
  Scheme& second = add_scheme(Action::pageout, old);
  apply();
  EXPECT_EQ(second.stat.nr_tried, 0) << "the first scheme has restarted the age";
}

TEST_F(DamosTest, OnlyDueSchemesApply) {
  add_region(target_, {pages(0, 1), 0, 0});
  Scheme& due = add_scheme();
  Scheme& early = add_scheme();
  early.next_apply = 101;
  apply();
  EXPECT_EQ(due.stat.nr_tried, 1);
  EXPECT_EQ(due.next_apply, 120);
  EXPECT_EQ(early.stat.nr_tried, 0);
  EXPECT_EQ(early.stat.nr_snapshots, 0);
  EXPECT_EQ(early.next_apply, 101);
}

TEST_F(DamosTest, NextIsOneIntervalFromNow) {
  add_region(target_, {pages(0, 1), 0, 0});
  Scheme& scheme = add_scheme();
  scheme.params.apply_interval_us = 35000;
  scheme.next_apply = 93;
  apply();
  EXPECT_EQ(scheme.next_apply, 107);
}

TEST_F(DamosTest, SparesInvalidTargets) {
  add_region(target_, {pages(0, 1), 0, 0});
  Target& other = context_->add_target(nullptr);
  other.add_region(pages(5, 6));
  add_scheme();
  fake_of(*context_).valid = [&](const Target& target) { return &target != &target_; };
  EXPECT_THAT(apply(), ElementsAre(pages(5, 6)));
}

// --- Snapshots

TEST_F(DamosTest, ASnapshotIsCountedForEachTarget) {
  add_region(target_, {pages(0, 1), 0, 0});
  add_region(target_, {pages(3, 4), 0, 0});
  context_->add_target(nullptr).add_region(pages(5, 6));
  context_->add_target(nullptr);  // without regions there is no last one
  Scheme& scheme = add_scheme();
  apply();
  EXPECT_EQ(scheme.stat.nr_snapshots, 2);
}

TEST_F(DamosTest, ASnapshotCountsEvenWhenNothingMatches) {
  add_region(target_, {pages(0, 1), 0, 0});
  Scheme& scheme = add_scheme(Action::stat, AccessPattern());
  EXPECT_THAT(apply(), IsEmpty());
  EXPECT_EQ(scheme.stat.nr_snapshots, 1);
}

TEST_F(DamosTest, StopsAtTheLastSnapshot) {
  add_region(target_, {pages(0, 1), 0, 0});
  Scheme& scheme = add_scheme();
  scheme.params.max_nr_snapshots = 2;
  for (int round = 0; round < 5; ++round) {
    scheme.next_apply = 0;
    apply();
  }
  EXPECT_EQ(scheme.stat.nr_snapshots, 2);
  EXPECT_EQ(scheme.stat.nr_tried, 2);
  EXPECT_EQ(scheme.next_apply, 120) << "its rounds go on, empty";
}

TEST_F(DamosTest, TheLastSnapshotMayEndBetweenTargets) {
  add_region(target_, {pages(0, 1), 0, 0});
  context_->add_target(nullptr).add_region(pages(5, 6));
  add_scheme().params.max_nr_snapshots = 1;
  EXPECT_THAT(apply(), ElementsAre(pages(0, 1)));
}

// --- Joining what is alike again

TEST_F(DamosTest, JoinsNeighboursThatAreAlikeUpToTheLimit) {
  context_->attrs.min_nr_regions = 3;  // 12 pages: 4 each
  add_region(target_, {pages(0, 2), 3, 4}, 5);
  add_region(target_, {pages(2, 4), 3, 4}, 5);
  add_region(target_, {pages(4, 5), 3, 4}, 5);  // would make 5 pages
  add_region(target_, {pages(5, 12), 1, 4}, 5);
  add_scheme();
  apply();
  EXPECT_THAT(ranges_of(target_), ElementsAre(pages(0, 4), pages(4, 5), pages(5, 12)));
}

TEST_F(DamosTest, DoesNotJoinWhatDiffers) {
  context_->attrs.min_nr_regions = 3;
  add_region(target_, {pages(0, 1), 3, 4}, 5);
  add_region(target_, {pages(1, 2), 2, 4}, 5);  // counts
  add_region(target_, {pages(2, 3), 2, 3}, 5);  // age
  add_region(target_, {pages(3, 4), 2, 3}, 4);  // last aggregation
  add_region(target_, {pages(5, 6), 2, 3}, 4);  // not a neighbour
  add_region(target_, {pages(6, 60), 0, 0}, 0);
  add_region(target_, {pages(60, 61), 0, 0}, 0).unknown = true;
  add_region(target_, {pages(61, 62), 0, 0}, 0).last_unknown = true;
  add_scheme();
  apply();
  EXPECT_EQ(target_.nr_regions(), 8);
}

TEST_F(DamosTest, JoinsNothingWhileNoSchemeIsDue) {
  context_->attrs.min_nr_regions = 3;
  add_region(target_, {pages(0, 1), 3, 4}, 5);
  add_region(target_, {pages(1, 2), 3, 4}, 5);
  add_region(target_, {pages(2, 60), 0, 0}, 0);
  add_scheme().next_apply = 101;
  apply();
  EXPECT_EQ(target_.nr_regions(), 3);
}

// --- Walks

class DamosWalkTest : public DamosTest {
 protected:
  RequestQueue::Walking walking(uint64_t id) { return {&visit_, id}; }

  std::vector<Known> visited_;
  std::vector<const Scheme*> visited_by_;
  std::vector<uint64_t> sz_filter_passed_seen_;
  const WalkFn visit_ = [this](const Context& context, size_t scheme_idx, const Application& work) {
    EXPECT_EQ(work.target, &target_);
    visited_.push_back({work.region->range, work.region->nr_accesses, work.region->age});
    visited_by_.push_back(&scheme_at(context, scheme_idx));
    sz_filter_passed_seen_.push_back(work.sz_filter_passed);
  };
};

// After the action, but before the age restarts.
TEST_F(DamosWalkTest, ReportsTriedRegionsWithTheAgeThatMatched) {
  add_region(target_, {pages(0, 1), 3, 4});
  add_region(target_, {pages(2, 4), 0, 9});
  AccessPattern hot = kEverything;
  hot.min_nr_accesses = 1;
  const Scheme& scheme = add_scheme(Action::pageout, hot);
  sz_filter_passed_ = 77;
  apply(walking(1));
  EXPECT_THAT(visited_, ElementsAre(Known{pages(0, 1), 3, 4}));
  EXPECT_THAT(visited_by_, ElementsAre(&scheme));
  EXPECT_THAT(sz_filter_passed_seen_, ElementsAre(77));
  EXPECT_TRUE(walk_finished(*context_, walking(1)));
}

TEST_F(DamosWalkTest, EachSchemeReportsOnceAndTheSlowestIsWaitedFor) {
  add_region(target_, {pages(0, 1), 3, 4});
  Scheme& fast = add_scheme();
  Scheme& slow = add_scheme();
  slow.next_apply = 130;
  apply(walking(1));
  EXPECT_FALSE(walk_finished(*context_, walking(1)));
  context_->schedule.passed = 120;
  apply(walking(1));
  EXPECT_FALSE(walk_finished(*context_, walking(1)));
  context_->schedule.passed = 130;
  apply(walking(1));
  EXPECT_TRUE(walk_finished(*context_, walking(1)));
  EXPECT_THAT(visited_by_, ElementsAre(&fast, &slow));
  EXPECT_EQ(fast.stat.nr_tried, 2);
}

TEST_F(DamosWalkTest, TheNextWalkStartsAnew) {
  add_region(target_, {pages(0, 1), 3, 4});
  Scheme& scheme = add_scheme();
  apply(walking(1));
  EXPECT_FALSE(walk_finished(*context_, walking(2)));
  scheme.next_apply = 0;
  apply(walking(2));
  EXPECT_TRUE(walk_finished(*context_, walking(2)));
  EXPECT_EQ(visited_.size(), 2);
}

TEST_F(DamosWalkTest, SchemesWithNothingToReportFinishToo) {
  add_region(target_, {pages(0, 1), 3, 4});
  add_scheme(Action::stat, AccessPattern());
  apply(walking(1));
  EXPECT_THAT(visited_, IsEmpty());
  EXPECT_TRUE(walk_finished(*context_, walking(1)));
}

TEST_F(DamosWalkTest, RoundsBeforeAWalkDoNotCountForIt) {
  add_region(target_, {pages(0, 1), 3, 4});
  add_scheme();
  apply();
  EXPECT_FALSE(walk_finished(*context_, walking(1)));
}

}  // namespace
}  // namespace damonfs
