// Looks at a context while its kdamond sleeps, and how long sampling intervals take.
#include <gtest/gtest.h>

#include <vector>

#include "tests/unit/core/kdamond_loop_fixture.h"
#include "tests/unit/core/virtual_clock.h"

namespace damonfs {
namespace {

class LookTest : public KdamondLoopTest {
 protected:
  // Asks for a look that notes what was passed by then; -1: the kdamond has ended.
  uint64_t look() {
    return requests_.look([this](const Context* context) {
      seen_.push_back(context == nullptr ? -1 : static_cast<int64_t>(context->schedule.passed));
    });
  }
  std::vector<int64_t> seen_;
};

TEST_F(LookTest, IsServedInTheNextSleep) {
  start();
  run(3);
  look();
  look();
  EXPECT_TRUE(seen_.empty());
  run(1);
  EXPECT_EQ(seen_, (std::vector<int64_t>{3, 3})) << "before the sleep has passed";
  EXPECT_EQ(passed(), 4);
  run(1);
  EXPECT_EQ(seen_.size(), 2);
}

// The sleep goes on: a sampling interval is as long as ever.
TEST_F(LookTest, DoesNotShortenTheInterval) {
  start();
  std::vector<uint64_t> sleeps;
  clock_.on_sleep = [&](uint64_t us) {
    sleeps.push_back(us);
    if (sleeps.size() == 1) look();
  };
  const uint64_t before = clock_.now_ns();
  run(1);
  EXPECT_EQ(clock_.now_ns() - before, 5'000'000);
  EXPECT_EQ(sleeps, (std::vector<uint64_t>{5000, 5000})) << "virtual time stands while disturbed";
  EXPECT_EQ(seen_.size(), 1);
}

TEST_F(LookTest, IsServedWhilePaused) {
  start();
  run(1);
  context_->pause = true;
  int sleeps = 0;
  clock_.on_sleep = [&](uint64_t) {
    if (++sleeps == 3) look();
    if (sleeps == 10) context_->pause = false;
  };
  run(1);
  EXPECT_EQ(seen_, std::vector<int64_t>{2});
}

TEST_F(LookTest, CanBeTakenBack) {
  start();
  const uint64_t first = look();
  look();
  requests_.forget_look(first);
  run(1);
  EXPECT_EQ(seen_.size(), 1);
  requests_.forget_look(first);  // served or unknown: nothing
}

TEST_F(LookTest, IsToldOfTheEnd) {
  look();
  requests_.close();
  EXPECT_EQ(seen_, std::vector<int64_t>{-1});
  look();
  EXPECT_EQ(seen_, (std::vector<int64_t>{-1, -1})) << "at once";
}

TEST_F(LookTest, AStopEndsADisturbedSleep) {
  start();
  clock_.on_sleep = [&](uint64_t) {
    look();
    stop_.request_stop();
  };
  EXPECT_FALSE(run_once());
  EXPECT_EQ(seen_.size(), 1);
}

// --- Timing

using TimingTest = KdamondLoopTest;

TEST_F(TimingTest, AnExactClockIsNeverLate) {
  start();
  run(40);
  const IntervalTiming& ever = context_->timing.since_start;
  EXPECT_EQ(ever.late.count, 40);
  EXPECT_EQ(ever.late.max_ns, 0);
  EXPECT_EQ(ever.work.max_ns, 0);
  EXPECT_EQ(context_->timing.last_aggregation.late.count, 20);
}

TEST_F(TimingTest, AggregationsAreToldApart) {
  start();
  run(25);
  EXPECT_EQ(context_->timing.since_start.late.count, 25);
  EXPECT_EQ(context_->timing.last_aggregation.late.count, 20);
  EXPECT_EQ(context_->timing.running_aggregation.late.count, 5);
}

TEST_F(TimingTest, LatenessAndWorkAreMeasured) {
  VirtualClock clock;
  // Sleeps 100 us too long.
  class LateClock final : public Clock {
   public:
    explicit LateClock(VirtualClock& clock) : clock_(clock) {}
    [[nodiscard]] uint64_t now_ns() const override { return clock_.now_ns(); }
    void sleep_us(uint64_t us, const std::stop_token& stop) override {
      clock_.sleep_us(us + 100, stop);
    }

   private:
    VirtualClock& clock_;
  } late(clock);
  fake_.on_call = [&](const std::string& call) {
    if (call == "prepare") clock.advance_ns(2000);
    if (call == "check") clock.advance_ns(3000);
  };
  KdamondLoop loop(*context_, late, requests_);
  loop.start();
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(loop.run_once(stop_.get_token()));
  const IntervalTiming& last = context_->timing.last_aggregation;
  EXPECT_EQ(last.late.mean_ns(), 100'000);
  EXPECT_EQ(last.late.max_ns, 100'000);
  EXPECT_EQ(last.work.mean_ns(), 5000);
}

TEST_F(TimingTest, APauseIsNoWork) {
  start();
  context_->pause = true;
  int sleeps = 0;
  clock_.on_sleep = [&](uint64_t) {
    if (++sleeps == 100) context_->pause = false;
  };
  run(1);
  EXPECT_EQ(context_->timing.since_start.work.max_ns, 0);
}

}  // namespace
}  // namespace damonfs
