#include "ops/pte/clear_estimate.h"

#include <gtest/gtest.h>

namespace damonfs {
namespace {

constexpr uint64_t kMs = 1'000'000;

TEST(ClearEstimateTest, AssumesFiftyNanosecondsAPage) {
  EXPECT_EQ(ClearEstimate().max_pages(), 40000U);
}

TEST(ClearEstimateTest, LearnsWhatAPageTakesOfAProcessor) {
  ClearEstimate estimate;
  for (int i = 0; i < 50; ++i) estimate.learn(10000, kMs, 1'000'000);
  EXPECT_NEAR(static_cast<double>(estimate.max_pages()), 20000, 2000);
  for (int i = 0; i < 10; ++i) estimate.learn(10000, kMs, 200'000);
  EXPECT_NEAR(static_cast<double>(estimate.max_pages()), 100000, 10000);
  estimate.learn(10, kMs, kMs);
  EXPECT_NEAR(static_cast<double>(estimate.max_pages()), 100000, 10000) << "too few to tell";
}

TEST(ClearEstimateTest, ACallThatWasTooLongByTheWallHalvesTheNext) {
  ClearEstimate estimate;
  estimate.learn(10000, 7 * kMs, 500'000);
  EXPECT_EQ(estimate.max_pages(), 20000U);
  estimate.learn(10000, 2 * kMs + 1, 500'000);
  EXPECT_EQ(estimate.max_pages(), 10000U);
  for (int i = 0; i < 10; ++i) estimate.learn(10000, 7 * kMs, 500'000);
  EXPECT_EQ(estimate.max_pages(), 2500U) << "no less than a sixteenth";
}

TEST(ClearEstimateTest, ARowOfGoodCallsDoublesItAgain) {
  ClearEstimate estimate;
  estimate.learn(10000, 7 * kMs, 500'000);
  for (int i = 0; i < 15; ++i) estimate.learn(10000, 2 * kMs, 500'000);
  EXPECT_EQ(estimate.max_pages(), 20000U);
  estimate.learn(10000, 2 * kMs, 500'000);
  EXPECT_EQ(estimate.max_pages(), 40000U);
  for (int i = 0; i < 100; ++i) estimate.learn(10000, kMs, 500'000);
  EXPECT_EQ(estimate.max_pages(), 40000U) << "no more than the whole";
}

TEST(ClearEstimateTest, WhatIsRefusedIsTriedAgainSomeTime) {
  ClearEstimate estimate;
  for (int i = 0; i < 30; ++i) estimate.learn(10000, 7 * kMs, 5 * kMs);
  const uint64_t refused_above = estimate.max_pages();
  for (int i = 0; i < 64; ++i) estimate.ease();
  EXPECT_LT(refused_above, 1000U);
  EXPECT_EQ(estimate.max_pages(), 40000U);
}

}  // namespace
}  // namespace damonfs
