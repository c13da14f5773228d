#include "core/priority.h"

#include <gtest/gtest.h>

#include "tests/unit/core/fake_operations.h"

namespace damonfs {
namespace {

// 5 ms and 100 ms: 20 samples an aggregation, whose end it is.
class PriorityTest : public testing::Test {
 protected:
  // Sets the weights of access frequency and age.
  void weigh(uint32_t frequency, uint32_t age) {
    scheme_->quota.params.nr_accesses_permil = frequency;
    scheme_->quota.params.age_permil = age;
  }
  uint32_t score(Action action, uint32_t nr_accesses, uint32_t age) {
    scheme_->params.action = action;
    Region region(pages(0, 1));
    region.nr_accesses = nr_accesses;
    region.age = age;
    return priority_score(*context_, *scheme_, region);
  }
  uint32_t hot(uint32_t nr_accesses, uint32_t age) {
    return score(Action::migrate_hot, nr_accesses, age);
  }
  uint32_t cold(uint32_t nr_accesses, uint32_t age) {
    return score(Action::pageout, nr_accesses, age);
  }

  std::unique_ptr<Context> context_ = fake_context();
  Scheme* scheme_ = &context_->add_scheme({});
};

TEST_F(PriorityTest, ByFrequency) {
  weigh(1000, 0);
  EXPECT_EQ(hot(0, 500), 0);
  EXPECT_EQ(hot(1, 500), 4);    // 5 * 0.99 = 4.95
  EXPECT_EQ(hot(10, 500), 49);  // 49.5
  EXPECT_EQ(hot(19, 500), 94);  // 94.05
  EXPECT_EQ(hot(20, 500), 99);
  EXPECT_EQ(cold(0, 500), 99);
  EXPECT_EQ(cold(10, 500), 50);
  EXPECT_EQ(cold(20, 500), 0);
}

// Seconds by magnitude: 0, 1, 2..3, 4..7, ... count 0, 1, 2, 3, up or down from the middle of 64.
TEST_F(PriorityTest, ByAge) {
  weigh(0, 1);
  EXPECT_EQ(hot(1, 0), 49);   // 32 * 100 / 32 / 2 = 50
  EXPECT_EQ(hot(1, 9), 49);   // 0.9 s
  EXPECT_EQ(hot(1, 10), 50);  // 33: 103 / 2 = 51
  EXPECT_EQ(hot(1, 19), 50);  // 1.9 s
  EXPECT_EQ(hot(1, 20), 52);  // 34: 106 / 2 = 53
  EXPECT_EQ(hot(1, 39), 52);  // 3.9 s
  EXPECT_EQ(hot(1, 40), 53);  // 35: 109 / 2 = 54
  EXPECT_EQ(hot(0, 10), 47);  // 31: 96 / 2 = 48
  EXPECT_EQ(hot(0, 20), 45);  // 30: 93 / 2 = 46
  EXPECT_EQ(hot(0, 40), 44);  // 29: 90 / 2 = 45
}

TEST_F(PriorityTest, AgeEndsAt32) {
  weigh(0, 1);
  context_->attrs.aggr_us = 100'000'000;  // 100 s; 20,000 samples
  EXPECT_EQ(hot(20000, UINT32_MAX), 99);  // 4e11 s would be 39
  EXPECT_EQ(hot(0, UINT32_MAX), 0);
}

TEST_F(PriorityTest, ByBoth) {
  weigh(1, 1);
  EXPECT_EQ(hot(10, 100), 52);  // (50 + 56) / 2 = 53; 10 s: 36: 112 / 2
  EXPECT_EQ(cold(10, 100), 47);
  EXPECT_EQ(hot(0, 100), 20);  // (0 + 43) / 2 = 21; 28: 87 / 2
  EXPECT_EQ(cold(0, 100), 79);
  weigh(1, 3);
  EXPECT_EQ(hot(20, 100), 66);  // (100 + 3 * 56) / 4 = 67
  weigh(1000, 3000);
  EXPECT_EQ(hot(20, 100), 66);
}

TEST_F(PriorityTest, WithoutWeightsAllAreAlike) {
  weigh(0, 0);
  scheme_->quota.params.sz_permil = 1000;  // plays no part
  EXPECT_EQ(hot(20, 100), 0);
  EXPECT_EQ(hot(0, 0), 0);
  EXPECT_EQ(cold(20, 100), 99);
}

TEST_F(PriorityTest, HugeWeightsDoNotOverflow) {
  weigh(UINT32_MAX, UINT32_MAX);
  EXPECT_EQ(hot(10, 100), 52);
}

TEST_F(PriorityTest, MoreAccessesThanSamplesAreAsHotAsCanBe) {
  weigh(1, 0);
  EXPECT_EQ(hot(40, 0), 99);
}

// In the middle of an aggregation the moving sum counts: 2 + 10 * 1/2 of 20.
TEST_F(PriorityTest, GoesByTheMovingSum) {
  weigh(1, 0);
  context_->schedule.passed = 10;
  context_->schedule.next_aggregation = 20;
  Region region(pages(0, 1));
  region.nr_accesses = 2;
  region.last_nr_accesses = 10;
  scheme_->params.action = Action::migrate_hot;
  EXPECT_EQ(priority_score(*context_, *scheme_, region), 34);  // 35 * 0.99
}

TEST_F(PriorityTest, WhichActionsWantWhat) {
  weigh(1, 0);
  for (const OpsId ops : {OpsId::vaddr, OpsId::fvaddr, OpsId::paddr}) {
    context_->ops_id = ops;
    const bool physical = ops == OpsId::paddr;
    EXPECT_EQ(score(Action::migrate_hot, 10, 0), 49);
    EXPECT_EQ(score(Action::pageout, 10, 0), 50);
    EXPECT_EQ(score(Action::migrate_cold, 10, 0), 50);
    EXPECT_EQ(score(Action::lru_prio, 10, 0), physical ? 49 : 99);
    EXPECT_EQ(score(Action::lru_deprio, 10, 0), physical ? 50 : 99);
    for (const Action action : {Action::willneed, Action::cold, Action::hugepage,
                                Action::nohugepage, Action::collapse, Action::stat}) {
      EXPECT_EQ(score(action, 10, 0), 99);
    }
  }
}

}  // namespace
}  // namespace damonfs
