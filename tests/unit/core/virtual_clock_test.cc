#include "tests/unit/core/virtual_clock.h"

#include <gtest/gtest.h>

#include <thread>

namespace damonfs {
namespace {

TEST(VirtualClock, PassesOnlyWhileSomebodySleeps) {
  VirtualClock clock;
  EXPECT_EQ(clock.now_ns(), 0);
  clock.sleep_us(5000, {});
  EXPECT_EQ(clock.now_ns(), 5000000);
  EXPECT_EQ(clock.now_ns(), 5000000);
  clock.sleep_us(0, {});
  EXPECT_EQ(clock.now_ns(), 5000000);
}

TEST(VirtualClock, AdvancesByWork) {
  VirtualClock clock;
  clock.advance_ns(7);
  clock.sleep_us(1, {});
  EXPECT_EQ(clock.now_ns(), 1007);
}

TEST(VirtualClock, DoesNotSleepOnceStopped) {
  VirtualClock clock;
  std::stop_source stop;
  clock.sleep_us(1, stop.get_token());
  stop.request_stop();
  clock.sleep_us(1000000, stop.get_token());
  EXPECT_EQ(clock.now_ns(), 1000);
}

TEST(VirtualClock, NeverGoesBackwards) {
  VirtualClock clock;
  clock.sleep_us(1, {});
  clock.sleep_us(uint64_t{1} << 63, {});  // more nanoseconds than there are numbers
  EXPECT_EQ(clock.now_ns(), UINT64_MAX);
  clock.advance_ns(1);
  EXPECT_EQ(clock.now_ns(), UINT64_MAX);
}

TEST(VirtualClock, LosesNoSleepOfSeveralThreads) {
  VirtualClock clock;
  {
    const auto sleep_often = [&clock] {
      for (int sleep = 0; sleep < 1000; ++sleep) clock.sleep_us(1, {});
    };
    const std::jthread one(sleep_often);
    const std::jthread two(sleep_often);
    const std::jthread three(sleep_often);
    const std::jthread four(sleep_often);
  }
  EXPECT_EQ(clock.now_ns(), 4000000);
}

}  // namespace
}  // namespace damonfs
