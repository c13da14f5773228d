#include "core/base/random.h"

#include <gtest/gtest.h>

#include <array>

namespace damonfs {
namespace {

TEST(Random, IsTheMultiplyShiftOfTheStandardGenerator) {
  // mt19937_64 seeded with 5489 starts with 14514284786278117030 and 4620546740167642908 on every
  // machine: * 100 / 2^64 are 78.68... and 25.04...
  Random random(5489);
  EXPECT_EQ(random.between(0, 100), 78);
  EXPECT_EQ(random.between(1000, 1100), 1025);
}

TEST(Random, SameSeedSameNumbers) {
  Random one(42);
  Random other(42);
  Random different(43);
  bool differs = false;
  for (int i = 0; i < 1000; ++i) {
    const uint64_t number = one.between(0, UINT64_MAX);
    ASSERT_EQ(number, other.between(0, UINT64_MAX));
    differs |= number != different.between(0, UINT64_MAX);
  }
  EXPECT_TRUE(differs);
}

TEST(Random, EmptyIntervalsGiveTheirStart) {
  Random random(1);
  EXPECT_EQ(random.between(7, 7), 7);
  EXPECT_EQ(random.between(7, 3), 7);
}

TEST(Random, ReachesEveryNumberOfTheIntervalAndNoOther) {
  Random random(1);
  std::array<int, 12> count{};
  for (int i = 0; i < 9000; ++i) ++count.at(random.between(1, 10));
  EXPECT_EQ(count[0], 0);
  EXPECT_EQ(count[10], 0);
  for (size_t number = 1; number < 10; ++number) {
    // 1,000 expected, standard deviation 30.
    EXPECT_GT(count.at(number), 850) << number;
    EXPECT_LT(count.at(number), 1150) << number;
  }
}

TEST(Random, CoversIntervalsWiderThan32Bits) {
  Random random(1);
  constexpr uint64_t kLow = uint64_t{1} << 46;
  constexpr uint64_t kWidth = uint64_t{1} << 40;
  std::array<int, 4> quarter{};
  bool odd = false;
  for (int i = 0; i < 4000; ++i) {
    const uint64_t number = random.between(kLow, kLow + kWidth);
    ASSERT_GE(number, kLow);
    ASSERT_LT(number, kLow + kWidth);
    ++quarter.at((number - kLow) / (kWidth / 4));
    odd |= number % 2 == 1;
  }
  for (const int count : quarter) EXPECT_GT(count, 850);
  EXPECT_TRUE(odd) << "low bits are never set";
}

}  // namespace
}  // namespace damonfs
