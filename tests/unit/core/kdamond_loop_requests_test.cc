// What a kdamond is asked for while it runs: to pause, to commit, to walk.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <vector>

#include "tests/unit/core/kdamond_loop_fixture.h"

namespace damonfs {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;

// --- Pausing

class PauseTest : public KdamondLoopTest {
 protected:
  PauseTest() {
    add_scheme(5000);
    start();
    run(3);
    context_->pause = true;
    fake_.on_call = [this](const std::string& call) { calls_.push_back(call); };
    clock_.on_sleep = [this](uint64_t us) {
      sleeps_.push_back(us);
      calls_.emplace_back("sleep");
      if (sleeps_.size() == 10) at_10th_sleep_();
      if (sleeps_.size() == 1000) stop_.request_stop();  // lest a test hang
    };
  }
  std::function<void()> at_10th_sleep_ = [] {};
  std::vector<uint64_t> sleeps_;
  std::vector<std::string> calls_;
};

TEST_F(PauseTest, SamplesNothingUntilResumed) {
  at_10th_sleep_ = [this] { context_->pause = false; };
  EXPECT_TRUE(run_once());
  EXPECT_EQ(fake_.nr_prepares, 4);
  EXPECT_EQ(fake_.nr_checks, 4);
  EXPECT_EQ(passed(), 4);
  EXPECT_EQ(sleeps_, std::vector<uint64_t>(10, 5000));
}

// The interval in which it was paused goes on where it stopped: with the schemes.
TEST_F(PauseTest, GoesOnWithTheSchemes) {
  at_10th_sleep_ = [this] { context_->pause = false; };
  EXPECT_TRUE(run_once());
  calls_.erase(std::unique(calls_.begin(), calls_.end()), calls_.end());
  EXPECT_THAT(calls_, ElementsAre("prepare", "sleep", "check", "sleep", "apply"));
}

TEST_F(PauseTest, ServesCalls) {
  std::unique_ptr<Asker> asker;
  size_t served_after = 0;
  at_10th_sleep_ = [&] {
    asker = ask_to_commit([&](Context& wanted) {
      served_after = sleeps_.size();
      wanted.pause = false;
    });
  };
  EXPECT_TRUE(run_once());
  EXPECT_EQ(asker->answer(), 0);
  EXPECT_EQ(served_after, 10) << "right after the sleep in which it was asked";
}

TEST_F(PauseTest, CancelsWalks) {
  std::unique_ptr<Asker> asker;
  at_10th_sleep_ = [&] { asker = ask_to_walk(); };
  EXPECT_FALSE(run_once());
  EXPECT_EQ(asker->answer(), ECANCELED);
  EXPECT_THAT(visited_, IsEmpty());
}

TEST_F(PauseTest, CancelsAWalkThatWaitsAlready) {
  const auto asker = ask_to_walk();
  at_10th_sleep_ = [this] { context_->pause = false; };
  EXPECT_TRUE(run_once());
  EXPECT_EQ(asker->answer(), ECANCELED);
  EXPECT_THAT(visited_, IsEmpty());
}

TEST_F(PauseTest, EndsWhenStopped) {
  at_10th_sleep_ = [this] { stop_.request_stop(); };
  EXPECT_FALSE(run_once());
  EXPECT_EQ(sleeps_.size(), 10);
  EXPECT_THAT(calls_, Not(Contains("apply")));
}

TEST_F(PauseTest, EndsWhenNoTargetIsValid) {
  at_10th_sleep_ = [this] { fake_.valid = [](const Target&) { return false; }; };
  EXPECT_FALSE(run_once());
  EXPECT_EQ(sleeps_.size(), 10);
  EXPECT_THAT(calls_, Not(Contains("apply")));
}

// --- Commits in the middle

TEST_F(KdamondLoopTest, CommitInAnAggregationsMiddleStartsItAnew) {
  fake_.accessed = [](const Sample&) { return true; };
  start();
  run(7);
  const auto asker = ask_to_commit([](Context& wanted) { wanted.attrs.aggr_us = 50000; });
  run(1);
  EXPECT_EQ(asker->answer(), 0);
  EXPECT_EQ(context_->schedule.next_aggregation, 18);
  EXPECT_EQ(front().nr_accesses, 0);
  run(9);
  EXPECT_EQ(front().nr_accesses, 9);
  run(1);
  EXPECT_EQ(front().last_nr_accesses, 10);
  EXPECT_EQ(context_->schedule.next_aggregation, 28);
}

// What the interval began with is what it ends with.
TEST_F(KdamondLoopTest, CommitAtAnAggregationsEndDoesNotUndoIt) {
  fake_.accessed = [](const Sample&) { return true; };
  start();
  run(19);
  const auto asker = ask_to_commit([](Context& wanted) { wanted.attrs.aggr_us = 50000; });
  run(1);
  EXPECT_EQ(asker->answer(), 0);
  EXPECT_EQ(front().nr_accesses, 0);
  EXPECT_EQ(front().last_nr_accesses, 10) << "all of 20 are all of 10";
  EXPECT_EQ(context_->schedule.next_aggregation, 30);
}

TEST_F(KdamondLoopTest, CommitAtAnUpdateDoesNotUndoIt) {
  set_intervals(5000, 100000, 50000);
  start();
  run(9);
  const auto asker = ask_to_commit([](Context& wanted) { wanted.attrs.update_us = 15000; });
  run(1);
  EXPECT_EQ(asker->answer(), 0);
  EXPECT_EQ(fake_.nr_updates, 1);
  EXPECT_EQ(context_->schedule.next_update, 13);
}

TEST_F(KdamondLoopTest, CommittedSamplingIntervalCountsFromTheNextInterval) {
  std::vector<uint64_t> sleeps;
  clock_.on_sleep = [&](uint64_t us) { sleeps.push_back(us); };
  start();
  const auto asker = ask_to_commit([](Context& wanted) { wanted.attrs.sample_us = 1000; });
  run(2);
  EXPECT_EQ(asker->answer(), 0);
  EXPECT_THAT(sleeps, ElementsAre(5000, 1000));
}

TEST_F(KdamondLoopTest, CommitAtAnAggregationsEndSparesWhatTuningConverts) {
  set_intervals(5000, 10000);
  fake_.accessed = [](const Sample&) { return true; };
  context_->attrs.intervals_goal = {
      .access_bp = 5000, .aggrs = 1, .min_sample_us = 1000, .max_sample_us = 1000000};
  start();
  run(1);
  const auto asker = ask_to_commit([](Context& wanted) { wanted.attrs.max_nr_regions = 500; });
  run(1);
  EXPECT_EQ(asker->answer(), 0);
  EXPECT_EQ(context_->attrs.sample_us, 2500) << "twice the goal";
  EXPECT_EQ(front().last_nr_accesses, 2);
}

// Tuning by a goal that a commit has switched on catches up with the deadline that is long over.
TEST_F(KdamondLoopTest, GoalSwitchedOnByACommitTunesAtOnce) {
  start();
  run(39);
  const auto asker = ask_to_commit([](Context& wanted) {
    wanted.attrs.intervals_goal = {
        .access_bp = 400, .aggrs = 3, .min_sample_us = 5000, .max_sample_us = 1000000};
  });
  run(1);
  EXPECT_EQ(asker->answer(), 0);
  EXPECT_EQ(context_->attrs.sample_us, 10000);
  EXPECT_EQ(context_->schedule.next_tune, 60);
  run(20);
  EXPECT_EQ(context_->attrs.sample_us, 20000);
  EXPECT_EQ(context_->schedule.next_tune, 120);
  run(40);
  EXPECT_EQ(context_->attrs.sample_us, 20000);
}

// --- Walks

class WalkTest : public KdamondLoopTest {
 protected:
  WalkTest() {
    set_intervals(5000, 20000);
    target_.clear_regions();
    target_.add_region(pages(0, 1));
    context_->attrs.min_nr_regions = 3;
  }
};

TEST_F(WalkTest, WaitsForTheSlowestSchemeAndHearsEachOnce) {
  const Scheme& fast = add_scheme(10000);
  const Scheme& slow = add_scheme(35000);
  start();
  const auto asker = ask_to_walk();
  run(6);
  EXPECT_THAT(visited_by_, ElementsAre(&fast));
  EXPECT_FALSE(asker->done());
  run(1);
  EXPECT_EQ(asker->answer(), 0);
  EXPECT_THAT(visited_by_, ElementsAre(&fast, &slow));
}

TEST_F(WalkTest, SecondIsBusyAndTheFirstGoesOn) {
  add_scheme();
  start();
  const auto first = ask_to_walk();
  run(1);
  EXPECT_EQ(ask_to_walk()->answer(), EBUSY);
  run(3);
  EXPECT_EQ(first->answer(), 0);
  EXPECT_EQ(visited_.size(), 1);
}

TEST_F(WalkTest, CancelledWithoutSchemes) {
  start();
  const auto asker = ask_to_walk();
  run(1);
  EXPECT_EQ(asker->answer(), ECANCELED);
}

TEST_F(WalkTest, CancelledWhenACommitTakesTheSchemesAway) {
  add_scheme(35000);
  start();
  const auto walker = ask_to_walk();
  run(1);
  EXPECT_FALSE(walker->done());
  const auto committer = ask([](Context& running) {
    const auto wanted = fake_context();
    wanted->attrs = running.attrs;
    wanted->add_target(nullptr);
    return commit_context(running, *wanted);
  });
  run(1);
  EXPECT_EQ(committer->answer(), 0);
  EXPECT_EQ(walker->answer(), ECANCELED);
}

TEST_F(WalkTest, WaitsForASchemeThatACommitAdds) {
  const Scheme& first = add_scheme(10000);
  start();
  const auto walker = ask_to_walk();
  run(1);
  const auto committer = ask_to_commit([](Context& wanted) {
    wanted.add_scheme(wanted.schemes.front().params).params.apply_interval_us = 25000;
  });
  run(1);
  EXPECT_EQ(committer->answer(), 0);
  ASSERT_EQ(context_->schemes.size(), 2);
  EXPECT_FALSE(walker->done());
  run(4);
  EXPECT_FALSE(walker->done());
  run(1);
  EXPECT_EQ(walker->answer(), 0);
  EXPECT_THAT(visited_by_, ElementsAre(&first, &context_->schemes.back()));
}

TEST_F(WalkTest, HearsTheAgeThatMatched) {
  add_scheme(0, Action::pageout);
  start();
  front().age = 6;
  const auto asker = ask_to_walk();
  run(4);
  EXPECT_EQ(asker->answer(), 0);
  EXPECT_THAT(visited_, ElementsAre(Known{pages(0, 1), 0, 7}));
  EXPECT_EQ(front().age, 0);
}

TEST_F(WalkTest, InterruptLeavesTheLoopAlone) {
  Scheme& scheme = add_scheme();
  start();
  const auto asker = ask_to_walk();
  run(1);
  asker->interrupt();
  EXPECT_EQ(asker->answer(), EINTR);
  run(7);
  EXPECT_EQ(scheme.stat.nr_tried, 2);
  EXPECT_THAT(visited_, IsEmpty());
}

TEST_F(WalkTest, CancelledAtTheEnd) {
  add_scheme();
  start();
  const auto asker = ask_to_walk();
  run(1);
  fake_.valid = [](const Target&) { return false; };
  EXPECT_FALSE(run_once());
  requests_.close();
  EXPECT_EQ(asker->answer(), ECANCELED);
}

}  // namespace
}  // namespace damonfs
