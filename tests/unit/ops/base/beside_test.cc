#include "ops/base/beside.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <stdexcept>
#include <vector>

namespace damonfs {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::seconds kLong{20};

TEST(SideWorkTest, WaitsForWhatEndsInTime) {
  const SideWork work;
  int result = 0;
  ASSERT_TRUE(work.run([&] { result = 7; }, kLong));
  EXPECT_EQ(result, 7);
  EXPECT_TRUE(work.wait(0us));
}

TEST(SideWorkTest, DoesNotWaitForWhatBlocks) {
  const SideWork work;
  std::promise<void> let_go;
  const auto blocked = let_go.get_future().share();
  EXPECT_FALSE(work.run([blocked] { blocked.wait(); }, 1ms));
  bool ran = false;
  EXPECT_FALSE(work.run([&ran] { ran = true; }, kLong / 1000));  // one at a time
  EXPECT_FALSE(work.wait(1ms));
  const SideWork other;
  EXPECT_TRUE(other.run([] {}, kLong));
  let_go.set_value();
  EXPECT_TRUE(work.wait(kLong));
  EXPECT_FALSE(ran);
  EXPECT_TRUE(work.run([&ran] { ran = true; }, kLong));
  EXPECT_TRUE(ran);
}

TEST(SideWorkTest, ExceptionsEndTheWorkOnly) {
  const SideWork work;
  ASSERT_TRUE(work.run([] { throw std::runtime_error("on purpose"); }, kLong));
  bool ran = false;
  ASSERT_TRUE(work.run([&ran] { ran = true; }, kLong));
  EXPECT_TRUE(ran);
}

TEST(SideWorkTest, WhatUsesAProcessorIsNotBlocked) {
  const SideWork work;
  EXPECT_FALSE(work.wants_processor());
  std::atomic<bool> end = false;
  EXPECT_FALSE(work.run(
      [&end] {
        while (!end) continue;
      },
      1ms));
  EXPECT_TRUE(work.wants_processor());
  end = true;
  EXPECT_TRUE(work.wait(kLong));
  EXPECT_FALSE(work.wants_processor());
}

// However many are stuck: there is a bound to the threads, and those who ask wait ever less.
TEST(SideWorkTest, ManyThatBlock) {
  std::promise<void> let_go;
  const auto blocked = let_go.get_future().share();
  std::vector<SideWork> works(100);
  const auto before = patience();
  size_t nr_running = 0;
  for (const SideWork& work : works) {
    EXPECT_FALSE(work.run([blocked] { blocked.wait(); }, 0us));
    nr_running += work.wait(0us) ? 0 : 1;
  }
  EXPECT_GE(nr_running, 50U);
  EXPECT_LE(nr_beside(), 64U);
  EXPECT_LT(patience() * 10, before);
  let_go.set_value();
  for (const SideWork& work : works) EXPECT_TRUE(work.wait(kLong));
}

}  // namespace
}  // namespace damonfs
