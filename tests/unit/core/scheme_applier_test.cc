// Which regions a scheme gets to under quotas, priorities and core filters.
#include "core/scheme_applier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/damos.h"
#include "core/ranges.h"
#include "tests/unit/core/fake_metrics.h"
#include "tests/unit/core/fake_operations.h"
#include "tests/unit/core/virtual_clock.h"

namespace damonfs {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr uint64_t kWindowNs = 1'000'000'000;

// In pages.
uint64_t total_of(const std::vector<AddrRange>& ranges) {
  uint64_t sum = 0;
  for (const AddrRange& range : ranges) sum += range.size() / kPage;
  return sum;
}

// One scheme over everything, with windows of a second; each round is one application of it.
class SchemeApplierTest : public testing::Test {
 protected:
  SchemeApplierTest() {
    context_->schedule.passed = context_->schedule.next_aggregation = 100;
    fake_of(*context_).on_apply = [this](const Scheme&, Application& work) {
      tried_.push_back(work.region->range);
      asked_ops_.push_back(work.ask_ops_filters);
      work.sz_applied = work.region->range.size() * applied_percent_ / 100;
      clock_.advance_ns(work.region->range.size() / kPage * ns_a_page_);
    };
    SchemeParams params;
    params.pattern = kEverything;
    scheme_ = &context_->add_scheme(params);
    scheme_->quota.params.reset_interval_ms = 1000;
  }
  // Applies the scheme once; returns what it tried.
  std::vector<AddrRange> round() {
    tried_.clear();
    asked_ops_.clear();
    SchemeApplier(*context_, clock_, *scheme_, 0, {}).run();
    return tried_;
  }
  std::vector<AddrRange> round_in_next_window() {
    clock_.advance_ns(kWindowNs);
    return round();
  }
  Target& add_target(AddrRange region) {
    Target& target = context_->add_target(nullptr);
    target.add_region(region);
    return target;
  }
  void add_pages(Target& target, uint64_t first, uint64_t last) {
    for (uint64_t page = first; page < last; ++page) target.add_region(pages(page, page + 1));
  }

  VirtualClock clock_;
  std::unique_ptr<Context> context_ = fake_context();
  Scheme* scheme_ = nullptr;
  std::vector<AddrRange> tried_;
  std::vector<bool> asked_ops_;
  uint64_t applied_percent_ = 100;
  uint64_t ns_a_page_ = 0;
};

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

// --- Goals of what a node has of the memory that the scheme is for

class NodeGoalTest : public SchemeApplierTest {
 protected:
  NodeGoalTest() {
    // Node 1 has what lies from page 100 on.
    fake_of(*context_).share_of = [this](std::span<const AddrRange> memory, int nid) {
      ++nr_asked_;
      const AddrRange node = nid == 1 ? pages(100, 1000) : pages(0, 100);
      return NodeShare{.all = total_size(memory),
                       .on_node = total_size(intersect(memory, std::span(&node, 1)))};
    };
    scheme_->params.pattern.min_age = 5;
    scheme_->quota.params.goal_tuner = GoalTuner::temporal;
    scheme_->quota.params.goals = {
        {.metric = GoalMetric::node_eligible_mem_bp, .target_value = 6000, .nid = 1, .path = {}}};
  }
  void add_regions(Target& target, const std::vector<AddrRange>& ranges, uint32_t age) {
    for (const AddrRange& range : ranges) target.add_region(range).age = age;
  }
  [[nodiscard]] uint64_t measured() const {
    return scheme_->quota.params.goals.front().current_value;
  }

  int nr_asked_ = 0;
};

TEST_F(NodeGoalTest, OnlyMemoryInThePatternCounts) {
  Target& one = context_->add_target(nullptr);
  add_regions(one, {pages(0, 20), pages(20, 50), pages(150, 170)}, 5);
  add_regions(one, {pages(200, 900)}, 4);
  add_regions(context_->add_target(nullptr), {pages(100, 130)}, 6);
  EXPECT_EQ(total_of(round()), 100) << "50 of 100 pages where 60 are to be: all that there is";
  EXPECT_EQ(measured(), 5000);
}

TEST_F(NodeGoalTest, FiltersDoNotMatter) {
  add_regions(context_->add_target(nullptr), {pages(0, 30), pages(100, 170)}, 5);
  Filter filter;
  filter.type = FilterType::addr;
  filter.matching = true;
  filter.addr = pages(100, 1000);
  scheme_->params.filters.core = {filter};
  EXPECT_THAT(round(), IsEmpty()) << "70 of 100 is more than enough";
  EXPECT_EQ(measured(), 7000);
}

TEST_F(NodeGoalTest, IsMeasuredOnceAWindow) {
  add_regions(context_->add_target(nullptr), {pages(0, 50), pages(100, 150)}, 5);
  round();
  round();
  EXPECT_EQ(nr_asked_, 1);
  round_in_next_window();
  EXPECT_EQ(nr_asked_, 2);
}

TEST_F(NodeGoalTest, NoWindowOpensUnmeasured) {
  // So hasty that windows end between two looks at it.
  class HastyClock final : public Clock {
   public:
    uint64_t now_ns() const override { return now_ns_ += 2 * kWindowNs / 5; }
    void sleep_us(uint64_t, const std::stop_token&) override {}

   private:
    mutable uint64_t now_ns_ = 0;
  };
  const HastyClock clock;
  add_regions(context_->add_target(nullptr), {pages(0, 50)}, 5);
  for (int i = 0; i < 20; ++i) {
    tried_.clear();
    scheme_->quota.params.goals.front().current_value = 10000;  // as if all were on the node
    SchemeApplier(*context_, clock, *scheme_, 0, {}).run();
    EXPECT_THAT(tried_, ElementsAre(pages(0, 50))) << i;
  }
}

TEST_F(NodeGoalTest, WithoutSuchMemoryThereIsNone) {
  add_regions(context_->add_target(nullptr), {pages(100, 150)}, 4);
  scheme_->quota.params.goals.front().current_value = 7;
  round();
  EXPECT_EQ(measured(), 0);
}

}  // namespace
}  // namespace damonfs
