#include "ops/base/cpu_budget.h"

#include <gtest/gtest.h>

#include <chrono>

namespace damonfs {
namespace {

TEST(CpuBudgetTest, TakesATenthOfTime) {
  using std::chrono::milliseconds;
  CpuBudget::Clock::time_point now{};
  CpuBudget share(now);
  milliseconds spent{0};
  for (int i = 0; i < 20'000; ++i) {
    now += milliseconds(5);
    if (!share.allows(now)) continue;
    share.spend(milliseconds(7));
    spent += milliseconds(7);
  }
  const double part = static_cast<double>(spent.count()) / (20'000 * 5);
  EXPECT_NEAR(part, 0.1, 0.002);
}

TEST(CpuBudgetTest, SomethingLongIsWaitedForTenTimesAsLong) {
  using std::chrono::milliseconds;
  CpuBudget::Clock::time_point now{};
  CpuBudget share(now);
  ASSERT_TRUE(share.allows(now));
  share.spend(milliseconds(200));
  EXPECT_FALSE(share.allows(now + milliseconds(1800)));
  EXPECT_TRUE(share.allows(now + milliseconds(2001)));
}

TEST(CpuBudgetTest, IdleTimeIsHardlySaved) {
  using std::chrono::milliseconds;
  CpuBudget::Clock::time_point now{};
  CpuBudget share(now);
  now += std::chrono::hours(1);
  ASSERT_TRUE(share.allows(now));
  share.spend(milliseconds(10));
  EXPECT_FALSE(share.allows(now));
}

}  // namespace
}  // namespace damonfs
