// The arithmetic of quotas: sizes, windows, charges. How regions are chosen and cut under one is in
// scheme_round_test.cc, goals in quota_goals_test.cc.
#include "core/quota.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/unit/core/fake_operations.h"

namespace damonfs {
namespace {

constexpr uint64_t kMs = 1'000'000;  // in ns
constexpr uint64_t kMiB = 1 << 20;

class QuotaTest : public testing::Test {
 protected:
  void roll(uint64_t now_ns) { quota_.roll_window(now_ns, kPage, nullptr, qt_exceeds_); }
  [[nodiscard]] bool full() const { return quota_.full(0, kPage); }
  // Bytes charged in this window, by what is left of a quota of `esz`.
  [[nodiscard]] uint64_t charged() const { return quota_.esz() - quota_.left(0); }

  Quota quota_;
  uint64_t qt_exceeds_ = 0;
};

TEST_F(QuotaTest, WithoutOneNothingIsLimited) {
  EXPECT_FALSE(quota_.limited());
  roll(5 * kMs);
  EXPECT_EQ(quota_.esz(), 0);
  EXPECT_FALSE(full());
  quota_.params.reset_interval_ms = 1000;
  quota_.params.age_permil = 1000;
  EXPECT_FALSE(quota_.limited()) << "neither an interval nor weights limit anything";
}

TEST_F(QuotaTest, SizeTimeOrAGoalLimit) {
  quota_.params.bytes = 1;
  EXPECT_TRUE(quota_.limited());
  quota_.params.bytes = 0;
  quota_.params.ms = 1;
  EXPECT_TRUE(quota_.limited());
  quota_.params.ms = 0;
  quota_.params.goals.push_back({.target_value = 1, .path = {}});
  EXPECT_TRUE(quota_.limited());
}

// --- Size

TEST_F(QuotaTest, SizeIsTheEffectiveSize) {
  quota_.params.bytes = 10 * kPage;
  roll(0);
  EXPECT_EQ(quota_.esz(), 10 * kPage);
  EXPECT_EQ(quota_.left(0), 10 * kPage);
  EXPECT_EQ(quota_.left(3 * kPage), 7 * kPage);
  EXPECT_EQ(quota_.left(11 * kPage), 0);
  quota_.charge(4 * kPage, 0);
  EXPECT_EQ(quota_.left(0), 6 * kPage);
  EXPECT_FALSE(quota_.full(5 * kPage, kPage));
  EXPECT_TRUE(quota_.full(6 * kPage, kPage));
}

// What is left but is no whole region counts as nothing.
TEST_F(QuotaTest, LessThanARegionLeftIsFull) {
  quota_.params.bytes = 10 * kPage + kPage - 1;
  roll(0);
  quota_.charge(9 * kPage, 9 * kPage);
  EXPECT_FALSE(full());
  quota_.charge(kPage, kPage);
  EXPECT_EQ(quota_.left(0), kPage - 1);
  EXPECT_TRUE(full());
}

TEST_F(QuotaTest, LessThanARegionInAllIsAlwaysFull) {
  quota_.params.bytes = kPage - 1;
  roll(0);
  EXPECT_TRUE(full());
}

// --- Windows

TEST_F(QuotaTest, AWindowLastsTheResetInterval) {
  quota_.params.bytes = 2 * kPage;
  quota_.params.reset_interval_ms = 1000;
  roll(300 * kMs);
  quota_.charge(kPage, kPage);
  roll(1299 * kMs);
  EXPECT_EQ(charged(), kPage);
  roll(1300 * kMs);
  EXPECT_EQ(charged(), 0);
  EXPECT_EQ(qt_exceeds_, 0) << "it was not used up";
}

// The next window starts when it is opened, not where the last one ended.
TEST_F(QuotaTest, ALateWindowStartsLate) {
  quota_.params.bytes = 2 * kPage;
  quota_.params.reset_interval_ms = 1000;
  roll(0);
  roll(3700 * kMs);
  quota_.charge(kPage, kPage);
  roll(4500 * kMs);
  EXPECT_EQ(charged(), kPage);
  roll(4700 * kMs);
  EXPECT_EQ(charged(), 0);
}

TEST_F(QuotaTest, WithoutIntervalEachRoundIsAWindow) {
  quota_.params.bytes = 2 * kPage;
  roll(0);
  quota_.charge(2 * kPage, 0);
  roll(0);
  EXPECT_FALSE(full());
}

TEST_F(QuotaTest, WindowsThatWereUsedUpAreCounted) {
  quota_.params.bytes = 2 * kPage;
  quota_.params.reset_interval_ms = 10;
  roll(0);
  quota_.charge(2 * kPage, 0);
  roll(9 * kMs);
  EXPECT_EQ(qt_exceeds_, 0) << "not before it is over";
  roll(10 * kMs);
  EXPECT_EQ(qt_exceeds_, 1);
  quota_.charge(kPage, kPage);
  roll(20 * kMs);
  EXPECT_EQ(qt_exceeds_, 1);
  quota_.charge(kPage + 1, kPage);
  roll(500 * kMs);
  EXPECT_EQ(qt_exceeds_, 2) << "once, however long ago";
}

TEST_F(QuotaTest, AVeryLongIntervalDoesNotOverflow) {
  quota_.params.bytes = 2 * kPage;
  quota_.params.reset_interval_ms = std::numeric_limits<uint64_t>::max();
  roll(0);
  quota_.charge(kPage, 0);
  roll(std::numeric_limits<uint64_t>::max() / 2);
  EXPECT_EQ(charged(), kPage);
}

TEST_F(QuotaTest, ANewSizeCountsFromTheNextWindow) {
  quota_.params.bytes = 2 * kPage;
  quota_.params.reset_interval_ms = 10;
  roll(0);
  quota_.params.bytes = 5 * kPage;
  roll(5 * kMs);
  EXPECT_EQ(quota_.esz(), 2 * kPage);
  roll(10 * kMs);
  EXPECT_EQ(quota_.esz(), 5 * kPage);
}

// A quota that was taken away still holds until its window ends.
TEST_F(QuotaTest, NoQuotaAnyMoreCountsFromTheNextWindow) {
  quota_.params.bytes = 2 * kPage;
  quota_.params.reset_interval_ms = 10;
  roll(0);
  quota_.params.bytes = 0;
  EXPECT_TRUE(quota_.limited());
  roll(10 * kMs);
  EXPECT_FALSE(quota_.limited());
}

// --- Time

// 4 MiB a millisecond until something was measured.
TEST_F(QuotaTest, TimeStartsWithAGuess) {
  quota_.params.ms = 10;
  roll(0);
  EXPECT_EQ(quota_.esz(), 10 * 4 * kMiB);
}

TEST_F(QuotaTest, TimeBecomesSizeByMeasurement) {
  quota_.params.ms = 10;
  quota_.params.reset_interval_ms = 1000;
  roll(0);
  quota_.charge(8 * kMiB, 8 * kMiB);
  quota_.spend_ns(4 * kMs);
  EXPECT_EQ(quota_.esz(), 10 * 4 * kMiB) << "this window's size stands";
  roll(1000 * kMs);
  EXPECT_EQ(quota_.esz(), 10 * 2 * kMiB) << "8 MiB in 4 ms";
  quota_.charge(4 * kMiB, 0);
  quota_.spend_ns(8 * kMs);
  roll(2000 * kMs);
  EXPECT_EQ(quota_.esz(), 10 * kMiB) << "12 MiB in 12 ms: all windows together";
  roll(3000 * kMs);
  EXPECT_EQ(quota_.esz(), 10 * kMiB);
}

TEST_F(QuotaTest, TimeAllowsARegionAtLeast) {
  quota_.params.ms = 10;
  roll(0);
  quota_.charge(kPage, kPage);
  quota_.spend_ns(10000 * kMs);  // 0.4 bytes a millisecond
  roll(0);
  EXPECT_EQ(quota_.esz(), kPage);
  EXPECT_FALSE(full());
}

TEST_F(QuotaTest, MuchTimeDoesNotOverflow) {
  quota_.params.ms = std::numeric_limits<uint64_t>::max();
  roll(0);
  EXPECT_EQ(quota_.esz(), std::numeric_limits<uint64_t>::max());
}

TEST_F(QuotaTest, OfSizeAndTimeTheSmallerRules) {
  quota_.params.ms = 10;
  quota_.params.bytes = kMiB;
  roll(0);
  EXPECT_EQ(quota_.esz(), kMiB);
  quota_.params.bytes = 100 * kMiB;
  roll(0);
  EXPECT_EQ(quota_.esz(), 40 * kMiB);
}

// --- Charges

TEST_F(QuotaTest, AllThatWasTriedIsChargedUnlessSaidOtherwise) {
  quota_.params.bytes = 100 * kPage;
  quota_.params.fail_charge_num = 1;  // of nothing
  roll(0);
  quota_.charge(4 * kPage, kPage);
  EXPECT_EQ(charged(), 4 * kPage);
}

TEST_F(QuotaTest, OfWhatFailedAShareIsCharged) {
  quota_.params.bytes = 100 * kPage;
  quota_.params.fail_charge_num = 1;
  quota_.params.fail_charge_denom = 4;
  roll(0);
  quota_.charge(5 * kPage, kPage);
  EXPECT_EQ(charged(), 2 * kPage);  // 1 + 4 / 4
  quota_.charge(3, 0);
  EXPECT_EQ(charged(), 2 * kPage) << "rounded down";
  quota_.charge(6, 1);
  EXPECT_EQ(charged(), 2 * kPage + 2);  // 1 + 5 / 4
}

TEST_F(QuotaTest, FailuresMayBeForNothingOrDear) {
  quota_.params.bytes = 100 * kPage;
  quota_.params.fail_charge_denom = 7;
  roll(0);
  quota_.charge(5 * kPage, kPage);
  EXPECT_EQ(charged(), kPage);
  quota_.params.fail_charge_num = 14;
  quota_.charge(5 * kPage, kPage);
  EXPECT_EQ(charged(), 10 * kPage);  // 1 + 1 + 4 * 2
}

// An action may do more than it was asked, such as the rest of a huge page.
TEST_F(QuotaTest, MoreThanWasTriedIsChargedAsTried) {
  quota_.params.bytes = 100 * kPage;
  quota_.params.fail_charge_num = quota_.params.fail_charge_denom = 1;
  roll(0);
  quota_.charge(5 * kPage, 512 * kPage);
  EXPECT_EQ(charged(), 5 * kPage);
}

}  // namespace
}  // namespace damonfs
