#include "core/base/arithmetic.h"

#include <gtest/gtest.h>

#include <random>

#include "core/feedback.h"

namespace damonfs {
namespace {

TEST(MultFrac, RoundsDown) {
  EXPECT_EQ(mult_frac(10, 7500, 10000), 7);
  EXPECT_EQ(mult_frac(7, 10000, 20), 3500);
  EXPECT_EQ(mult_frac(1, 9999, 10000), 0);
  EXPECT_EQ(mult_frac(1, 10000, 10000), 1);
  EXPECT_EQ(mult_frac(0, 5, 7), 0);
}

TEST(MultFrac, DoesNotOverflowInBetween) {
  EXPECT_EQ(mult_frac(UINT64_MAX, 10000, 10000), UINT64_MAX);
  EXPECT_EQ(mult_frac(uint64_t{1} << 63, 6, 8), uint64_t{3} << 61);
}

TEST(MultFrac, SaturatesAboveTheLargestNumber) {
  EXPECT_EQ(mult_frac(UINT64_MAX, 2, 1), UINT64_MAX);
  EXPECT_EQ(mult_frac(uint64_t{1} << 63, 2, 1), UINT64_MAX);
}

// The kernel divides before it multiplies; where that does not overflow both give the same.
TEST(MultFrac, AgreesWithTheKernelsOrderOfDividing) {
  std::mt19937_64 engine(1);
  for (int i = 0; i < 10000; ++i) {
    const uint64_t value = engine() >> (16 + engine() % 40);
    const uint64_t numerator = engine() % 10000;
    const uint64_t denominator = 1 + engine() % 10000;
    const uint64_t kernel =
        value / denominator * numerator + value % denominator * numerator / denominator;
    ASSERT_EQ(mult_frac(value, numerator, denominator), kernel)
        << value << " * " << numerator << " / " << denominator;
  }
}

TEST(Align, DownIsTheMultipleAtOrBelow) {
  EXPECT_EQ(align_down(0, 4096), 0);
  EXPECT_EQ(align_down(4095, 4096), 0);
  EXPECT_EQ(align_down(4096, 4096), 4096);
  EXPECT_EQ(align_down(8191, 4096), 4096);
  EXPECT_EQ(align_down(17, 1), 17);
}

TEST(Align, UpIsTheMultipleAtOrAbove) {
  EXPECT_EQ(align_up(0, 4096), 0);
  EXPECT_EQ(align_up(1, 4096), 4096);
  EXPECT_EQ(align_up(4096, 4096), 4096);
  EXPECT_EQ(align_up(4097, 4096), 8192);
  EXPECT_EQ(align_up(17, 1), 17);
}

TEST(Align, UpStopsAtTheLastMultiple) {
  EXPECT_EQ(align_up(UINT64_MAX, 4096), UINT64_MAX - 4095);
  EXPECT_EQ(align_up(UINT64_MAX - 4095, 4096), UINT64_MAX - 4095);
  EXPECT_EQ(align_up(UINT64_MAX - 4096, 4096), UINT64_MAX - 4095);
}

struct Feedback {
  uint64_t last_input;
  uint64_t score_bp;
  uint64_t next_input;
};

class FeedLoop : public testing::TestWithParam<Feedback> {};

TEST_P(FeedLoop, MovesTheInputInProportionToTheDistance) {
  const auto [last_input, score_bp, next_input] = GetParam();
  EXPECT_EQ(feed_loop(last_input, score_bp), next_input);
}

INSTANTIATE_TEST_SUITE_P(
    Rules, FeedLoop,
    testing::Values(Feedback{100000000, 10000, 100000000},   // met: as it is
                    Feedback{123, 10000, 123},               // even below the least input
                    Feedback{100000000, 0, 200000000},       // nothing at all: twice
                    Feedback{100000000, 5000, 150000000},    // half
                    Feedback{100000000, 9999, 100010000},    // a trifle short
                    Feedback{100000000, 10001, 99990000},    // a trifle over
                    Feedback{100000000, 15000, 50000000},    // half over
                    Feedback{100000000, 19999, 10000},       // 100,000,000 - 99,990,000
                    Feedback{100000000, 20000, 10000},       // twice over: the least
                    Feedback{100000000, UINT64_MAX, 10000},  // and more
                    Feedback{12000, 15000, 10000},           // never below the least
                    Feedback{10, 9999, 10},                  // the step rounds down
                    Feedback{19999, 9999, 20000},            // 19999 * 1 / 10000 = 1
                    Feedback{UINT64_MAX, 0, UINT64_MAX},     // nor above the largest
                    Feedback{UINT64_MAX - 1, 1, UINT64_MAX},
                    Feedback{uint64_t{1} << 63, 5000, uint64_t{3} << 62}));

}  // namespace
}  // namespace damonfs
