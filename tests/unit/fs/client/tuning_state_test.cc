#include "fs/client/tuning_state.h"

#include <gtest/gtest.h>

namespace damonfs {
namespace {

class TuningStateTest : public testing::Test {
 protected:
  // What is said `elapsed` seconds after the start, with samples of so many ms.
  Trust at(double elapsed, uint64_t sample_ms, uint64_t passes = 9) {
    Snapshot snapshot;
    snapshot.elapsed = elapsed;
    snapshot.passes = passes;
    snapshot.attrs.sample_us = sample_ms * 1000;
    snapshot.attrs.aggr_us = 20 * snapshot.attrs.sample_us;
    snapshot.attrs.intervals_goal = {400, goal_aggrs_, 5000, 100000};
    state_.note(snapshot);
    return snapshot.trust;
  }

  uint64_t goal_aggrs_ = 2;
  TuningState state_;
};

TEST_F(TuningStateTest, FixedIntervalsNeedNoTime) {
  goal_aggrs_ = 0;
  EXPECT_EQ(at(0.1, 5), Trust::settled);
}

TEST_F(TuningStateTest, SettlesWhenTheIntervalStays) {
  EXPECT_EQ(at(0.1, 5), Trust::tuning);
  EXPECT_EQ(at(0.5, 10), Trust::tuning);
  EXPECT_EQ(at(1.0, 20), Trust::tuning);
  EXPECT_EQ(at(2.0, 20), Trust::tuning);
  EXPECT_EQ(at(2.2, 22), Trust::tuning);
  EXPECT_EQ(at(4.5, 21), Trust::settled);
  EXPECT_EQ(at(4.6, 40), Trust::tuning);
}

TEST_F(TuningStateTest, HasSettledWhereTheIntervalIsAsLongAsItMayBe) {
  EXPECT_EQ(at(1.0, 50), Trust::tuning);
  EXPECT_EQ(at(1.1, 100), Trust::settled);
}

TEST_F(TuningStateTest, SweepsHaveToBeOverTheMemoryTwice) {
  goal_aggrs_ = 0;
  EXPECT_EQ(at(1, 5, 1), Trust::not_swept);
  EXPECT_EQ(at(2, 5, 2), Trust::not_swept);
  EXPECT_EQ(at(3, 5, 3), Trust::settled);
  EXPECT_EQ(at(4, 5, 0), Trust::settled) << "there are none";
}

}  // namespace
}  // namespace damonfs
