#include "core/requests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <thread>
#include <vector>

#include "tests/unit/core/asker.h"
#include "tests/unit/core/fake_operations.h"

namespace damonfs {
namespace {

using testing::ElementsAre;

class RequestsTest : public testing::Test {
 protected:
  Asker::Ask call(CallFn fn) {
    return [this, fn = std::move(fn)](const std::stop_token& stop) {
      return requests_.call(fn, stop);
    };
  }
  Asker::Ask walk() {
    return [this](const std::stop_token& stop) {
      return requests_.walk([](const Context&, size_t, const Application&) {}, stop);
    };
  }
  static CallFn nothing() {
    return [](Context&) { return Result<void>(); };
  }

  std::unique_ptr<Context> context_ = fake_context();
  RequestQueue requests_;
};

TEST_F(RequestsTest, CallRunsOnTheServingThreadWithItsContext) {
  std::thread::id ran_on;
  const Context* seen = nullptr;
  Asker asker(call([&](Context& context) {
    ran_on = std::this_thread::get_id();
    seen = &context;
    return Result<void>();
  }));
  EXPECT_FALSE(asker.done());
  requests_.serve_calls(*context_);
  EXPECT_EQ(asker.answer(), 0);
  EXPECT_EQ(ran_on, std::this_thread::get_id());
  EXPECT_EQ(seen, context_.get());
}

TEST_F(RequestsTest, CallReturnsItsError) {
  Asker asker(call([](Context&) -> Result<void> { return fail(ENOMEM, "as the test wants it"); }));
  requests_.serve_calls(*context_);
  EXPECT_EQ(asker.answer(), ENOMEM);
}

TEST_F(RequestsTest, CallsAreServedInTheOrderTheyCame) {
  std::vector<int> served;
  std::vector<std::unique_ptr<Asker>> askers;
  for (int number = 1; number <= 3; ++number) {
    askers.push_back(std::make_unique<Asker>(call([&served, number](Context&) {
      served.push_back(number);
      return Result<void>();
    })));
  }
  requests_.serve_calls(*context_);
  for (const auto& asker : askers) EXPECT_EQ(asker->answer(), 0);
  EXPECT_THAT(served, ElementsAre(1, 2, 3));
}

TEST_F(RequestsTest, CallIsServedOnce) {
  int served = 0;
  Asker asker(call([&](Context&) {
    ++served;
    return Result<void>();
  }));
  requests_.serve_calls(*context_);
  requests_.serve_calls(*context_);
  asker.answer();
  EXPECT_EQ(served, 1);
}

TEST_F(RequestsTest, InterruptedCallIsNeverRun) {
  bool ran = false;
  Asker asker(call([&](Context&) {
    ran = true;
    return Result<void>();
  }));
  asker.interrupt();
  EXPECT_EQ(asker.answer(), EINTR);
  requests_.serve_calls(*context_);
  EXPECT_FALSE(ran);
}

TEST_F(RequestsTest, InterruptLeavesOtherCallsAlone) {
  Asker first(call(nothing()));
  Asker second(call(nothing()));
  Asker third(call(nothing()));
  second.interrupt();
  EXPECT_EQ(second.answer(), EINTR);
  EXPECT_FALSE(first.done());
  requests_.serve_calls(*context_);
  EXPECT_EQ(first.answer(), 0);
  EXPECT_EQ(third.answer(), 0);
}

TEST_F(RequestsTest, CallAskedWithAnInterruptPendingIsRefused) {
  std::stop_source stop;
  stop.request_stop();
  bool ran = false;
  const auto result = requests_.call(
      [&](Context&) {
        ran = true;
        return Result<void>();
      },
      stop.get_token());
  EXPECT_EQ(error_of(result), EINTR);
  requests_.serve_calls(*context_);
  EXPECT_FALSE(ran);
}

// Who interrupts a call that has begun gets its result, not EINTR: it did happen.
TEST_F(RequestsTest, InterruptOfARunningCallWaitsForItsResult) {
  Asker* waiting = nullptr;
  Asker asker(call([&](Context&) -> Result<void> {
    waiting->interrupt();
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    EXPECT_FALSE(waiting->done());
    return fail(EDOM, "its own");
  }));
  waiting = &asker;
  requests_.serve_calls(*context_);
  EXPECT_EQ(asker.answer(), EDOM);
}

TEST_F(RequestsTest, CloseEndsWaitingCalls) {
  bool ran = false;
  Asker first(call([&](Context&) {
    ran = true;
    return Result<void>();
  }));
  Asker second(call(nothing()));
  requests_.close();
  EXPECT_EQ(first.answer(), ECANCELED);
  EXPECT_EQ(second.answer(), ECANCELED);
  requests_.serve_calls(*context_);
  EXPECT_FALSE(ran);
}

TEST_F(RequestsTest, ClosedQueueRefusesEverything) {
  requests_.close();
  EXPECT_EQ(error_of(requests_.call(nothing(), {})), ECANCELED);
  EXPECT_EQ(Asker(walk()).answer(), ECANCELED);
}

TEST_F(RequestsTest, NobodyWalks) {
  EXPECT_EQ(requests_.take_walk().visit, nullptr);
  requests_.cancel_walk();  // nothing to cancel, nothing happens
}

TEST_F(RequestsTest, WalkIsTakenAndFinished) {
  Asker asker(walk());
  const auto walking = requests_.take_walk();
  ASSERT_NE(walking.visit, nullptr);
  requests_.release_walk(true);
  EXPECT_EQ(asker.answer(), 0);
  EXPECT_EQ(requests_.take_walk().visit, nullptr);
}

TEST_F(RequestsTest, WalkThatIsPutBackIsTakenAgain) {
  Asker asker(walk());
  const auto first = requests_.take_walk();
  requests_.release_walk(false);
  const auto second = requests_.take_walk();
  EXPECT_EQ(second.id, first.id);
  ASSERT_NE(second.visit, nullptr);
  EXPECT_FALSE(asker.done());
  requests_.release_walk(true);
  EXPECT_EQ(asker.answer(), 0);
}

TEST_F(RequestsTest, EachWalkHasItsOwnId) {
  Asker first(walk());
  const uint64_t first_id = requests_.take_walk().id;
  requests_.release_walk(true);
  first.answer();
  Asker second(walk());
  EXPECT_NE(requests_.take_walk().id, first_id);
  EXPECT_NE(first_id, 0) << "0 is what a scheme has that never walked";
  requests_.release_walk(true);
}

TEST_F(RequestsTest, SecondWalkIsBusy) {
  Asker first(walk());
  EXPECT_EQ(Asker(walk()).answer(), EBUSY);
  EXPECT_FALSE(first.done());
  ASSERT_NE(requests_.take_walk().visit, nullptr);
  EXPECT_EQ(Asker(walk()).answer(), EBUSY);
  requests_.release_walk(true);
  EXPECT_EQ(first.answer(), 0);
}

TEST_F(RequestsTest, WalkIsCancelled) {
  Asker asker(walk());
  requests_.cancel_walk();
  EXPECT_EQ(asker.answer(), ECANCELED);
  EXPECT_EQ(requests_.take_walk().visit, nullptr);
}

TEST_F(RequestsTest, CancelAndCloseLeaveTheOtherKindAsItShould) {
  Asker waiting_call(call(nothing()));
  Asker waiting_walk(walk());
  requests_.cancel_walk();
  EXPECT_EQ(waiting_walk.answer(), ECANCELED);
  EXPECT_FALSE(waiting_call.done());
  requests_.serve_calls(*context_);
  EXPECT_EQ(waiting_call.answer(), 0);
}

TEST_F(RequestsTest, CloseEndsAWaitingWalk) {
  Asker asker(walk());
  requests_.close();
  EXPECT_EQ(asker.answer(), ECANCELED);
}

TEST_F(RequestsTest, InterruptedWalkMakesRoomForAnother) {
  Asker first(walk());
  first.interrupt();
  EXPECT_EQ(first.answer(), EINTR);
  EXPECT_EQ(requests_.take_walk().visit, nullptr);
  Asker second(walk());
  ASSERT_NE(requests_.take_walk().visit, nullptr);
  requests_.release_walk(true);
  EXPECT_EQ(second.answer(), 0);
}

// A visitor must outlive the round that calls it.
TEST_F(RequestsTest, InterruptOfAWalkInItsRoundWaitsForTheRoundsEnd) {
  Asker asker(walk());
  ASSERT_NE(requests_.take_walk().visit, nullptr);
  asker.interrupt();
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_FALSE(asker.done());
  requests_.release_walk(false);
  EXPECT_EQ(asker.answer(), EINTR);
  EXPECT_EQ(requests_.take_walk().visit, nullptr);
}

TEST_F(RequestsTest, InterruptOfAWalkInItsLastRoundIsTooLate) {
  Asker asker(walk());
  ASSERT_NE(requests_.take_walk().visit, nullptr);
  asker.interrupt();
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  requests_.release_walk(true);
  EXPECT_EQ(asker.answer(), 0);
}

}  // namespace
}  // namespace damonfs
