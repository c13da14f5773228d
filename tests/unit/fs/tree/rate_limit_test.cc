#include "fs/tree/rate_limit.h"

#include <gtest/gtest.h>

namespace damonfs {

namespace {

using std::chrono::milliseconds;

TEST(RateLimitTest, AllowsSoManyASecondAndCountsTheRest) {
  RateLimit limit(2);
  const RateLimit::Time start{std::chrono::hours(1)};
  EXPECT_EQ(limit.ask(start), 0);
  EXPECT_EQ(limit.ask(start), 0);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(limit.ask(start + milliseconds(999)), std::nullopt);
  EXPECT_EQ(limit.ask(start + milliseconds(1000)), 5);
  EXPECT_EQ(limit.ask(start + milliseconds(1500)), 0);
  EXPECT_EQ(limit.ask(start + milliseconds(1999)), std::nullopt);
}

}  // namespace

}  // namespace damonfs
