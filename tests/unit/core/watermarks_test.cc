#include "core/watermarks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "core/damos.h"
#include "core/kdamond_loop.h"
#include "tests/unit/core/fake_metrics.h"
#include "tests/unit/core/fake_operations.h"
#include "tests/unit/core/virtual_clock.h"

namespace damonfs {
namespace {

constexpr Watermarks kMarks{.metric = WatermarkMetric::free_mem_rate,
                            .interval_us = 5'000'000,
                            .high = 500,
                            .mid = 400,
                            .low = 200};

class WatermarksTest : public testing::Test {
 protected:
  bool active_at(uint64_t free_permille, bool active) {
    metrics_.free_permille = free_permille;
    return watermarks_active(kMarks, active, &metrics_);
  }
  FakeMetrics metrics_;
};

TEST_F(WatermarksTest, AnActiveOneGoesOnBetweenLowAndHigh) {
  EXPECT_FALSE(active_at(501, true));
  EXPECT_TRUE(active_at(500, true));
  EXPECT_TRUE(active_at(400, true));
  EXPECT_TRUE(active_at(399, true));
  EXPECT_TRUE(active_at(200, true));
  EXPECT_FALSE(active_at(199, true));
}

TEST_F(WatermarksTest, AResterWakesBetweenLowAndMid) {
  EXPECT_FALSE(active_at(501, false));
  EXPECT_FALSE(active_at(500, false));
  EXPECT_FALSE(active_at(400, false));
  EXPECT_TRUE(active_at(399, false));
  EXPECT_TRUE(active_at(200, false));
  EXPECT_FALSE(active_at(199, false));
}

TEST_F(WatermarksTest, WithoutAMetricAlwaysActive) {
  metrics_.free_permille = 1000;
  EXPECT_TRUE(watermarks_active({.metric = WatermarkMetric::none}, false, &metrics_));
  EXPECT_EQ(metrics_.nr_free_readings, 0);
}

// --- A context's schemes

class CheckWatermarksTest : public WatermarksTest {
 protected:
  CheckWatermarksTest() { context_->metrics = &metrics_; }
  Scheme& add_scheme(uint64_t interval_us) {
    SchemeParams params;
    params.watermarks = kMarks;
    params.watermarks.interval_us = interval_us;
    params.pattern = kEverything;
    return context_->add_scheme(params);
  }
  uint64_t check(uint64_t free_permille) {
    metrics_.free_permille = free_permille;
    return check_watermarks(*context_);
  }
  std::unique_ptr<Context> context_ = fake_context();
};

TEST_F(CheckWatermarksTest, WithoutSchemesThereIsNoRest) { EXPECT_EQ(check(1000), 0); }

TEST_F(CheckWatermarksTest, GoesThroughAllTransitions) {
  const Scheme& scheme = add_scheme(7000);
  const auto at = [&](uint64_t free, bool active) {
    EXPECT_EQ(check(free), active ? 0 : 7000) << free;
    EXPECT_EQ(scheme.active, active) << free;
  };
  at(450, true);   // new schemes are active
  at(600, false);  // plenty
  at(450, false);  // not yet
  at(300, true);   // scarce
  at(450, true);   // still
  at(100, false);  // too late for help
  at(450, false);
  at(200, true);
  at(501, false);
}

TEST_F(CheckWatermarksTest, TheShortestIntervalIsWaited) {
  add_scheme(9000);
  add_scheme(7000);
  add_scheme(8000);
  EXPECT_EQ(check(1000), 7000);
}

TEST_F(CheckWatermarksTest, OneActiveSchemeKeepsAllAwake) {
  const Scheme& resting = add_scheme(9000);
  Scheme& always = add_scheme(0);
  always.params.watermarks.metric = WatermarkMetric::none;
  EXPECT_EQ(check(1000), 0);
  EXPECT_FALSE(resting.active);
  EXPECT_TRUE(always.active);
}

// --- The kdamond

// A virtual clock that tells of each sleep when it is over.
class CountingClock final : public Clock {
 public:
  [[nodiscard]] uint64_t now_ns() const override { return clock_.now_ns(); }
  void sleep_us(uint64_t us, const std::stop_token& stop) override {
    clock_.sleep_us(us, stop);
    if (on_slept) on_slept(++nr_sleeps);
  }
  std::function<void(int)> on_slept;
  int nr_sleeps = 0;

 private:
  VirtualClock clock_;
};

class RestingKdamondTest : public CheckWatermarksTest {
 protected:
  RestingKdamondTest() {
    context_->add_target(nullptr).add_region(pages(0, 100));
    metrics_.free_permille = 900;
  }
  bool run_once() { return loop_.run_once(stop_.get_token()); }

  CountingClock clock_;
  RequestQueue requests_;
  std::stop_source stop_;
  KdamondLoop loop_{*context_, clock_, requests_};
};

TEST_F(RestingKdamondTest, SleepsWhileAllSchemesRest) {
  const Scheme& scheme = add_scheme(5'000'000);
  clock_.on_slept = [&](int count) {
    if (count == 12) metrics_.free_permille = 300;
  };
  loop_.start();
  ASSERT_TRUE(run_once());
  EXPECT_EQ(clock_.now_ns(), (12 * 5'000'000 + 5000) * uint64_t{1000})
      << "twelve rests, one sample";
  EXPECT_EQ(metrics_.nr_free_readings, 13) << "a reading a rest is all it does";
  EXPECT_EQ(fake_of(*context_).nr_prepares, 1);
  EXPECT_EQ(context_->schedule.passed, 1) << "rests are not time that monitoring counts";
  EXPECT_TRUE(scheme.active);
}

TEST_F(RestingKdamondTest, ARestEndsWithTheKdamond) {
  add_scheme(5'000'000);
  clock_.on_slept = [&](int count) {
    if (count == 3) stop_.request_stop();
  };
  loop_.start();
  EXPECT_FALSE(run_once());
  EXPECT_EQ(clock_.now_ns(), 3 * uint64_t{5'000'000'000});
  EXPECT_EQ(fake_of(*context_).nr_prepares, 0);
}

TEST_F(RestingKdamondTest, MonitoringGoesOnForOneActiveScheme) {
  Scheme& resting = add_scheme(5'000'000);
  Scheme& always = add_scheme(0);
  always.params.watermarks.metric = WatermarkMetric::none;
  loop_.start();
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(run_once());
  EXPECT_EQ(clock_.now_ns(), 20 * uint64_t{5'000'000});
  EXPECT_GT(always.stat.nr_tried, 0);
  EXPECT_EQ(resting.stat.nr_tried, 0);
}

}  // namespace
}  // namespace damonfs
