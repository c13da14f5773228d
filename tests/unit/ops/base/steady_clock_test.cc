#include "ops/base/steady_clock.h"

#include <gtest/gtest.h>
#include <time.h>

#include <stop_token>
#include <thread>
#include <vector>

namespace damonfs {
namespace {

TEST(SteadyClockTest, IsTheMonotonicClock) {
  const SteadyClock clock;
  timespec now{};
  const uint64_t before = clock.now_ns();
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  const uint64_t between = static_cast<uint64_t>(now.tv_sec) * 1000000000 + now.tv_nsec;
  const uint64_t after = clock.now_ns();
  EXPECT_LE(before, between);
  EXPECT_LE(between, after);
}

TEST(SteadyClockTest, SleepsAtLeastAsLong) {
  SteadyClock clock;
  for (const uint64_t us : {0, 1, 1000, 20000}) {
    const uint64_t before = clock.now_ns();
    clock.sleep_us(us, std::stop_token());
    EXPECT_GE(clock.now_ns() - before, us * 1000);
  }
}

TEST(SteadyClockTest, StopEndsALongSleep) {
  SteadyClock clock;
  const uint64_t before = clock.now_ns();
  {
    const std::jthread sleeper(
        [&](const std::stop_token& stop) { clock.sleep_us(uint64_t{3600} * 1000000, stop); });
    clock.sleep_us(10000, std::stop_token());
  }
  EXPECT_LT(clock.now_ns() - before, uint64_t{60} * 1000000000);
}

TEST(SteadyClockTest, DoesNotSleepOnceStopped) {
  SteadyClock clock;
  std::stop_source stop;
  stop.request_stop();
  const uint64_t before = clock.now_ns();
  clock.sleep_us(UINT64_MAX, stop.get_token());
  EXPECT_LT(clock.now_ns() - before, uint64_t{60} * 1000000000);
}

TEST(SteadyClockTest, EachSleeperIsStoppedForItself) {
  SteadyClock clock;
  std::jthread first([&](const std::stop_token& stop) { clock.sleep_us(UINT64_MAX, stop); });
  std::jthread second([&](const std::stop_token& stop) { clock.sleep_us(UINT64_MAX, stop); });
  clock.sleep_us(5000, std::stop_token());
  first.request_stop();
  first.join();
  second.request_stop();
}

}  // namespace
}  // namespace damonfs
