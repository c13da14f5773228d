// Which regions a scheme gets to under quotas, priorities and core filters.
#include "core/scheme_applier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/damos.h"
#include "core/ranges.h"
#include "tests/unit/core/fake_metrics.h"
#include "tests/unit/core/fake_operations.h"
#include "tests/unit/core/scheme_applier_fixture.h"

namespace damonfs {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// --- What samples could not tell

TEST_F(SchemeApplierTest, LeavesAloneWhatASampleCouldNotTell) {
  scheme_->params.action = Action::pageout;
  Target& target = add_target(pages(0, 10));
  target.add_region(pages(10, 20)).unknown = true;
  target.add_region(pages(20, 30)).last_unknown = true;
  Region& seen = target.add_region(pages(30, 40));
  seen.last_unknown = true;
  seen.last_nr_accesses = 1;
  Region& swept = target.add_region(pages(40, 50));
  swept.last_unknown = true;
  swept.swept = SweptState::not_accessed;
  EXPECT_THAT(round(), ElementsAre(pages(0, 10), pages(30, 40), pages(40, 50)));
  scheme_->params.action = Action::stat;
  EXPECT_EQ(total_of(round()), 50);
}

// --- Size quota

TEST_F(SchemeApplierTest, CutsTheRegionAtTheQuotasEdge) {
  Target& target = add_target(pages(0, 10));
  target.regions().front().age = 7;
  scheme_->quota.params.bytes = 4 * kPage + 100;
  EXPECT_THAT(round(), ElementsAre(pages(0, 4)));
  EXPECT_THAT(known_of(target), ElementsAre(Known{pages(0, 4), 0, 7}, Known{pages(4, 10), 0, 7}));
  EXPECT_EQ(scheme_->stat.sz_tried, 4 * kPage);
  EXPECT_THAT(round(), IsEmpty()) << "the window is used up";
}

TEST_F(SchemeApplierTest, AQuotaBelowARegionAllowsNothing) {
  add_target(pages(0, 10));
  scheme_->quota.params.bytes = kPage - 1;
  EXPECT_THAT(round(), IsEmpty());
  EXPECT_EQ(scheme_->stat.nr_tried, 0);
  EXPECT_THAT(round_in_next_window(), IsEmpty());
  EXPECT_EQ(scheme_->stat.qt_exceeds, 1);
}

TEST_F(SchemeApplierTest, ContinuesWhereTheLastWindowStopped) {
  add_target(pages(0, 10));
  scheme_->quota.params.bytes = 4 * kPage;
  EXPECT_THAT(round(), ElementsAre(pages(0, 4)));
  EXPECT_THAT(round_in_next_window(), ElementsAre(pages(4, 8)));
  // To the end, and in the same window no further: the first pages come with the next one.
  EXPECT_THAT(round_in_next_window(), ElementsAre(pages(8, 10)));
  EXPECT_EQ(scheme_->stat.qt_exceeds, 2);
  EXPECT_THAT(round(), ElementsAre(pages(0, 2))) << "what the window has left, from the start";
  EXPECT_THAT(round_in_next_window(), ElementsAre(pages(2, 4), pages(4, 6)));
  EXPECT_EQ(scheme_->stat.sz_tried, 16 * kPage);
}

// The quota was used up just at the end: the mark is dropped there, with nothing done.
TEST_F(SchemeApplierTest, AStopAtTheVeryEndIsDroppedInTheNextRound) {
  add_target(pages(0, 8));
  scheme_->quota.params.bytes = 4 * kPage;
  round();
  EXPECT_THAT(round_in_next_window(), ElementsAre(pages(4, 8)));
  EXPECT_THAT(round_in_next_window(), IsEmpty());
  EXPECT_THAT(round(), ElementsAre(pages(0, 4)));
}

TEST_F(SchemeApplierTest, CutsOffWhatWasDoneOfAMergedRegion) {
  Target& target = add_target(pages(0, 10));
  scheme_->quota.params.bytes = 4 * kPage;
  round();
  target.clear_regions();
  target.add_region(pages(0, 7));
  target.add_region(pages(7, 10));
  EXPECT_THAT(round_in_next_window(), ElementsAre(pages(4, 7), pages(7, 8)));
  EXPECT_THAT(ranges_of(target), ElementsAre(pages(0, 4), pages(4, 7), pages(7, 8), pages(8, 10)));
}

// A region of which less than a page was done has its first page skipped, or all if it has no more.
TEST_F(SchemeApplierTest, LessThanAPageDoneSkipsAPage) {
  Target& target = add_target(pages(0, 10));
  scheme_->quota.params.bytes = 4 * kPage;
  round();
  target.clear_regions();
  target.add_region({4 * kPage - 100, 8 * kPage - 100});
  target.add_region(pages(8, 9));
  EXPECT_THAT(round_in_next_window(),
              ElementsAre(AddrRange{5 * kPage - 100, 8 * kPage - 100}, pages(8, 9)));
}

TEST_F(SchemeApplierTest, LessThanAPageDoneOfAPageSkipsIt) {
  Target& target = add_target(pages(0, 10));
  scheme_->quota.params.bytes = 4 * kPage;
  round();
  target.clear_regions();
  target.add_region({4 * kPage - 100, 5 * kPage - 100});
  EXPECT_THAT(round_in_next_window(), IsEmpty());
  EXPECT_THAT(round(), ElementsAre(AddrRange{4 * kPage - 100, 5 * kPage - 100}))
      << "it was the last, so the mark is gone";
}

TEST_F(SchemeApplierTest, SeveralTargetsTakeTurns) {
  add_target(pages(0, 2));
  add_target(pages(100, 110));
  add_target(pages(200, 202));
  scheme_->quota.params.bytes = 6 * kPage;
  EXPECT_THAT(round(), ElementsAre(pages(0, 2), pages(100, 104)));
  EXPECT_THAT(round_in_next_window(), ElementsAre(pages(104, 110)));
  // The first target is before the mark, the second has nothing behind it.
  EXPECT_THAT(round_in_next_window(), ElementsAre(pages(200, 202)));
  EXPECT_THAT(round_in_next_window(), ElementsAre(pages(0, 2), pages(100, 104)));
}

TEST_F(SchemeApplierTest, AMarkInATargetThatIsGoneIsDropped) {
  add_target(pages(0, 2));
  Target& second = add_target(pages(100, 110));
  add_target(pages(200, 202));
  scheme_->quota.params.bytes = 6 * kPage;
  round();
  fake_of(*context_).valid = [&](const Target& target) { return &target != &second; };
  EXPECT_THAT(round_in_next_window(), ElementsAre(pages(200, 202)));
  EXPECT_THAT(round_in_next_window(), ElementsAre(pages(0, 2), pages(200, 202)));
}

TEST_F(SchemeApplierTest, SkippedRegionsEndNoSnapshot) {
  add_target(pages(0, 10));
  scheme_->quota.params.bytes = 4 * kPage;
  round();
  EXPECT_EQ(scheme_->stat.nr_snapshots, 0) << "the quota was full at the last region";
  round_in_next_window();
  round_in_next_window();
  EXPECT_EQ(scheme_->stat.nr_snapshots, 1);
}

TEST_F(SchemeApplierTest, RegionsThatDoNotMatchCostNothing) {
  Target& target = add_target(pages(0, 3));
  add_region(target, {pages(3, 6), 5, 0});
  add_region(target, {pages(6, 9), 0, 0});
  scheme_->params.pattern.max_nr_accesses = 0;
  scheme_->quota.params.bytes = 5 * kPage;
  EXPECT_THAT(round(), ElementsAre(pages(0, 3), pages(6, 8)));
}

// --- Charging what failed

TEST_F(SchemeApplierTest, FailuresThatCostNothingStopNothing) {
  Target& first = add_target(pages(0, 1));
  add_pages(first, 1, 5);
  add_target(pages(100, 102));
  scheme_->quota.params.bytes = kPage;
  scheme_->quota.params.fail_charge_num = 0;
  scheme_->quota.params.fail_charge_denom = 1;
  applied_percent_ = 0;
  const auto all = {pages(0, 1), pages(1, 2),     pages(2, 3),    pages(3, 4),
                    pages(4, 5), pages(100, 101), pages(101, 102)};
  EXPECT_THAT(round(), testing::ElementsAreArray(all));
  EXPECT_THAT(round(), testing::ElementsAreArray(all)) << "no mark was left";
  EXPECT_EQ(scheme_->stat.sz_tried, 14 * kPage);
  EXPECT_EQ(scheme_->stat.sz_applied, 0);
}

TEST_F(SchemeApplierTest, FailuresThatCostLessStopLater) {
  add_pages(add_target(pages(0, 1)), 1, 20);
  scheme_->quota.params.bytes = 4 * kPage;
  scheme_->quota.params.fail_charge_num = 1;
  scheme_->quota.params.fail_charge_denom = 2;
  applied_percent_ = 0;
  // Half a page each: after 6 of them one page is left, after the 7th half a one, which is none.
  EXPECT_THAT(round().size(), 7);
  EXPECT_THAT(round(), IsEmpty());
  EXPECT_EQ(round_in_next_window().front(), pages(7, 8));
}

TEST_F(SchemeApplierTest, WithoutAShareFailuresCostTheSame) {
  add_target(pages(0, 10));
  scheme_->quota.params.bytes = 4 * kPage;
  applied_percent_ = 0;
  EXPECT_THAT(round(), ElementsAre(pages(0, 4)));
  EXPECT_THAT(round(), IsEmpty());
}

// --- Time quota

// 4 MiB a ms are guessed, a page a 0.1 ms is true.
TEST_F(SchemeApplierTest, TimeIsKeptOnceItIsMeasured) {
  add_target(pages(0, 100000));
  scheme_->quota.params.ms = 10;
  ns_a_page_ = 100'000;
  EXPECT_THAT(round(), ElementsAre(pages(0, 10240)));                     // 40 MiB
  EXPECT_THAT(round_in_next_window(), ElementsAre(pages(10240, 10340)));  // 10 ms
  EXPECT_EQ(scheme_->quota.esz(), 100 * kPage);
  ns_a_page_ = 0;
  EXPECT_EQ(total_of(round_in_next_window()), 100);
  EXPECT_EQ(scheme_->stat.qt_exceeds, 2);
}

// --- Priorities

class PriorityRoundTest : public SchemeApplierTest {
 protected:
  // Four pages, of 4, 3, 2 and 1 accesses.
  PriorityRoundTest() {
    Target& target = context_->add_target(nullptr);
    for (uint32_t i = 0; i < 4; ++i) add_region(target, {pages(2 * i, 2 * i + 1), 4 - i, 0});
    scheme_->quota.params.nr_accesses_permil = 1000;
  }
};

TEST_F(PriorityRoundTest, ColdestFirst) {
  scheme_->params.action = Action::pageout;
  scheme_->quota.params.bytes = 2 * kPage;
  EXPECT_THAT(round(), ElementsAre(pages(4, 5), pages(6, 7)));
  // Scores 20, 15, 10, 5 of hotness: 80, 85, 90, 95 of coldness.
  EXPECT_EQ(scheme_->min_score, 90);
}

TEST_F(PriorityRoundTest, HottestFirst) {
  scheme_->params.action = Action::migrate_hot;
  scheme_->quota.params.bytes = 2 * kPage;
  EXPECT_THAT(round(), ElementsAre(pages(0, 1), pages(2, 3)));
}

TEST_F(PriorityRoundTest, ALargeQuotaLetsAllIn) {
  scheme_->params.action = Action::pageout;
  scheme_->quota.params.bytes = 4 * kPage;
  EXPECT_EQ(round().size(), 4);
  EXPECT_EQ(scheme_->min_score, 80);
  scheme_->quota.params.bytes = 100 * kPage;
  EXPECT_EQ(round_in_next_window().size(), 0) << "the quota stopped at the very end";
  EXPECT_EQ(round().size(), 4);
  EXPECT_EQ(scheme_->min_score, 0);
}

// What was bounded by priority is tried from the lowest address on.
TEST_F(PriorityRoundTest, TheLastBucketMayHoldMore) {
  scheme_->params.action = Action::willneed;  // all alike
  scheme_->quota.params.bytes = 2 * kPage;
  EXPECT_THAT(round(), ElementsAre(pages(0, 1), pages(2, 3)));
  EXPECT_EQ(scheme_->min_score, 99);
}

TEST_F(PriorityRoundTest, OnlyWhatMatchesFillsTheBuckets) {
  scheme_->params.action = Action::pageout;
  scheme_->params.pattern.min_nr_accesses = 3;
  scheme_->quota.params.bytes = kPage;
  EXPECT_THAT(round(), ElementsAre(pages(2, 3)));
}

TEST_F(PriorityRoundTest, OnlyWhatPassesCoreFiltersFillsTheBuckets) {
  scheme_->params.action = Action::pageout;
  scheme_->params.filters.core = {{.type = FilterType::addr,
                                   .matching = true,
                                   .allow = false,
                                   .memcg_path = {},
                                   .addr = pages(4, 100)}};
  scheme_->quota.params.bytes = kPage;
  EXPECT_THAT(round(), ElementsAre(pages(2, 3)));
}

TEST_F(PriorityRoundTest, WithoutAQuotaPriorityPlaysNoPart) {
  scheme_->params.action = Action::pageout;
  EXPECT_EQ(round().size(), 4);
  EXPECT_EQ(scheme_->min_score, 0);
}

// --- Core filters

TEST_F(SchemeApplierTest, RejectedRegionsAreNotCountedAndKeepTheirAge) {
  Target& target = add_target(pages(0, 10));
  target.regions().front().age = 7;
  scheme_->params.action = Action::pageout;
  scheme_->params.filters.core = {{.type = FilterType::addr,
                                   .matching = true,
                                   .allow = false,
                                   .memcg_path = {},
                                   .addr = pages(2, 4)}};
  EXPECT_THAT(round(), ElementsAre(pages(0, 2), pages(4, 10)));
  EXPECT_EQ(scheme_->stat.nr_tried, 2);
  EXPECT_EQ(scheme_->stat.sz_tried, 8 * kPage);
  EXPECT_THAT(known_of(target), ElementsAre(Known{pages(0, 2), 0, 0}, Known{pages(2, 4), 0, 7},
                                            Known{pages(4, 10), 0, 0}));
}

TEST_F(SchemeApplierTest, WhatACoreFilterAllowsIsNotAskedFurther) {
  add_target(pages(0, 10));
  scheme_->params.filters.core = {{.type = FilterType::addr,
                                   .matching = true,
                                   .allow = true,
                                   .memcg_path = {},
                                   .addr = pages(2, 4)}};
  scheme_->params.filters.ops = {
      {.type = FilterType::anon, .matching = true, .allow = true, .memcg_path = {}, .addr = {}}};
  EXPECT_THAT(round(), ElementsAre(pages(0, 2), pages(2, 4), pages(4, 10)));
  EXPECT_THAT(asked_ops_, ElementsAre(true, false, true));
}

TEST_F(SchemeApplierTest, TargetsByTheirPlace) {
  add_target(pages(0, 2));
  add_target(pages(100, 102));
  add_target(pages(200, 202));
  scheme_->params.filters.core = {{.type = FilterType::target,
                                   .matching = false,
                                   .allow = false,
                                   .memcg_path = {},
                                   .addr = {},
                                   .target_idx = 1}};
  EXPECT_THAT(round(), ElementsAre(pages(100, 102)));
  // A target that is not valid any more keeps its place.
  fake_of(*context_).valid = [&](const Target& target) {
    return &target != &context_->targets.front();
  };
  EXPECT_THAT(round(), ElementsAre(pages(100, 102)));
}

// Only what is really tried uses the quota up.
TEST_F(SchemeApplierTest, QuotaAndFilterCutTogether) {
  add_target(pages(0, 20));
  scheme_->params.filters.core = {{.type = FilterType::addr,
                                   .matching = true,
                                   .allow = false,
                                   .memcg_path = {},
                                   .addr = pages(2, 10)}};
  scheme_->quota.params.bytes = 5 * kPage;
  EXPECT_THAT(round(), ElementsAre(pages(0, 2), pages(10, 13)));
  EXPECT_THAT(round_in_next_window(), ElementsAre(pages(13, 18)));
  EXPECT_EQ(scheme_->stat.sz_tried, 10 * kPage);
}

// --- Batches and bounds

TEST_F(SchemeApplierTest, ManyRegionsAreAppliedInFewCalls) {
  int nr_calls = 0;
  fake_of(*context_).on_call = [&](const std::string& call) { nr_calls += call == "apply"; };
  add_pages(add_target(pages(0, 1)), 1, 10000);
  EXPECT_EQ(round().size(), 10000);
  EXPECT_LE(nr_calls * 10, 10000 / 64) << "with ten system calls each";
  EXPECT_EQ(scheme_->stat.nr_tried, 10000);
}

// Whatever the regions and the share that fails, no window tries more than it may.
TEST_F(SchemeApplierTest, NoWindowTriesMoreThanTheQuota) {
  Random random(7);
  for (int setup = 0; setup < 50; ++setup) {
    context_->targets.clear_and_dispose(std::default_delete<Target>());
    scheme_->quota.charge_target_from = nullptr;
    for (int i = 0; i < 3; ++i) {
      Target& target = context_->add_target(nullptr);
      uint64_t page = 0;
      for (uint64_t count = random.between(1, 40); count > 0; --count) {
        const uint64_t start = page + random.between(0, 3);
        page = start + random.between(1, 30);
        target.add_region(pages(start, page));
      }
    }
    const uint64_t limit = random.between(1, 60) * kPage + random.between(0, kPage);
    scheme_->quota.params.bytes = limit;
    clock_.advance_ns(kWindowNs);
    for (int window = 0; window < 10; ++window) {
      uint64_t sum = 0;
      for (int i = 0; i < 3; ++i) sum += total_of(round()) * kPage;
      ASSERT_LE(sum, limit) << setup << ", " << window;
      clock_.advance_ns(kWindowNs);
    }
  }
}

// In as many windows as it takes, each page comes once before any comes twice.
TEST_F(SchemeApplierTest, EveryPageHasItsTurn) {
  Random random(11);
  Target& target = context_->add_target(nullptr);
  uint64_t page = 0;
  while (page < 1000) {
    const uint64_t start = page;
    page += random.between(1, 30);
    target.add_region(pages(start, page));
  }
  scheme_->quota.params.bytes = 37 * kPage;
  std::vector<int> turns(page);
  for (uint64_t done = 0; done < page;) {
    for (const AddrRange& range : round_in_next_window()) {
      for (uint64_t i = range.start / kPage; i < range.end / kPage; ++i) ++turns[i];
      done += range.size() / kPage;
    }
  }
  EXPECT_THAT(turns, testing::Each(1));
}

}  // namespace
}  // namespace damonfs
