// The goal of a quota for memory of a node that the scheme may be applied to
// (node_eligible_mem_bp).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/ranges.h"
#include "core/scheme_applier.h"
#include "tests/unit/core/scheme_applier_fixture.h"

namespace damonfs {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

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
