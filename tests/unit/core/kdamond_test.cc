#include "core/kdamond.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <fstream>
#include <future>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "core/commit.h"
#include "tests/unit/core/asker.h"
#include "tests/unit/core/fake_operations.h"
#include "tests/unit/core/virtual_clock.h"

namespace damonfs {
namespace {

using testing::HasSubstr;

// Time that passes only when the test says so; who sleeps really waits, or until it is stopped.
class GateClock final : public Clock {
 public:
  [[nodiscard]] uint64_t now_ns() const override {
    const std::lock_guard lock(mutex_);
    return now_ns_;
  }
  void sleep_us(uint64_t us, const std::stop_token& stop) override {
    std::unique_lock lock(mutex_);
    const uint64_t wake_ns = now_ns_ + us * 1000;
    ++nr_sleeps_;
    changed_.notify_all();
    changed_.wait(lock, stop, [&] { return now_ns_ >= wake_ns; });
  }
  void advance_us(uint64_t us) {
    const std::lock_guard lock(mutex_);
    now_ns_ += us * 1000;
    changed_.notify_all();
  }
  // Waits until the `count`th sleep has begun.
  void wait_for_sleep(int count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return nr_sleeps_ >= count; });
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  uint64_t now_ns_ = 0;
  int nr_sleeps_ = 0;
};

// A context that samples once an hour, of one target with one region, and an always due scheme.
std::unique_ptr<Context> slow_context() {
  auto context = fake_context();
  context->attrs.sample_us = 3600000000;
  context->attrs.aggr_us = 3600000000;
  context->attrs.update_us = 3600000000;
  context->add_target(fake_handle(1)).add_region(pages(0, 100));
  context->add_scheme({}).params.pattern = kEverything;
  return context;
}

std::string name_of_thread(pid_t tid) {
  std::ifstream comm("/proc/self/task/" + std::to_string(tid) + "/comm");
  std::string name;
  std::getline(comm, name);
  return name;
}

// Whether there is no thread `tid`, or soon will be none: one that was joined may still be seen for
// a moment.
bool thread_is_gone(pid_t tid) {
  const std::string path = "/proc/self/task/" + std::to_string(tid) + "/comm";
  const auto patience_ends = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (std::ifstream(path).good()) {
    if (std::chrono::steady_clock::now() > patience_ends) return false;
    std::this_thread::yield();
  }
  return true;
}

// Keeps the log of starts and ends out of the tests' output.
class QuietLog {
 public:
  QuietLog() : level_(spdlog::get_level()) { spdlog::set_level(spdlog::level::warn); }
  ~QuietLog() { spdlog::set_level(level_); }
  QuietLog(const QuietLog&) = delete;
  QuietLog& operator=(const QuietLog&) = delete;

 private:
  const spdlog::level::level_enum level_;
};

// A process that takes its time to be let go.
class SlowHandle final : public TargetHandle {
 public:
  explicit SlowHandle(std::atomic<bool>& let_go) : let_go_(let_go) {}
  ~SlowHandle() override {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    let_go_ = true;
  }
  [[nodiscard]] bool same_as(const TargetHandle& other) const override { return this == &other; }

 private:
  std::atomic<bool>& let_go_;
};

Result<void> nothing(Context&) { return {}; }
void visit_nothing(const Context&, size_t, const Application&) {}

class KdamondTest : public testing::Test {
 protected:
  void start(std::unique_ptr<Context> context, const std::string& name = "kdamond.0") {
    auto started = Kdamond::start(std::move(context), clock_, name);
    ASSERT_TRUE(started) << started.error().message;
    kdamond_ = std::move(*started);
  }
  std::unique_ptr<Asker> ask(CallFn fn) {
    return std::make_unique<Asker>([this, fn = std::move(fn)](const std::stop_token& stop) {
      return kdamond_->call(fn, stop);
    });
  }
  std::unique_ptr<Asker> ask_to_walk() {
    return std::make_unique<Asker>(
        [this](const std::stop_token& stop) { return kdamond_->walk(visit_nothing, stop); });
  }
  void pass_an_hour() { clock_.advance_us(3600000000); }
  void wait_for_end() {
    while (kdamond_->running()) std::this_thread::yield();
  }

  QuietLog quiet_;
  GateClock clock_;
  std::unique_ptr<Kdamond> kdamond_;
};

TEST_F(KdamondTest, IsAThreadOfItsOwnByItsName) {
  start(slow_context(), "kdamond.7");
  EXPECT_TRUE(kdamond_->running());
  EXPECT_GT(kdamond_->tid(), 0);
  EXPECT_NE(kdamond_->tid(), gettid());
  clock_.wait_for_sleep(1);
  EXPECT_EQ(name_of_thread(kdamond_->tid()), "kdamond.7");
}

TEST_F(KdamondTest, CutsLongNames) {
  start(slow_context(), "kdamond.1234567890");
  clock_.wait_for_sleep(1);
  EXPECT_EQ(name_of_thread(kdamond_->tid()), "kdamond.1234567");
}

TEST_F(KdamondTest, RefusesBadAttributes) {
  auto context = slow_context();
  context->attrs.min_nr_regions = 2;
  bool initialised = false;
  fake_of(*context).on_init = [&](Context&) { initialised = true; };
  const auto started = Kdamond::start(std::move(context), clock_, "kdamond.0");
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, EINVAL);
  EXPECT_THAT(started.error().message, HasSubstr("below 3"));
  EXPECT_FALSE(initialised);
}

TEST_F(KdamondTest, StopDoesNotWaitForTheSleepsEnd) {
  start(slow_context());
  const pid_t tid = kdamond_->tid();
  clock_.wait_for_sleep(1);
  auto stopped = std::async(std::launch::async, [this] { kdamond_->stop(); });
  const auto status = stopped.wait_for(std::chrono::seconds(30));
  EXPECT_EQ(status, std::future_status::ready);
  if (status != std::future_status::ready) pass_an_hour();
  stopped.get();
  EXPECT_EQ(clock_.now_ns(), 0);
  EXPECT_FALSE(kdamond_->running());
  EXPECT_EQ(kdamond_->tid(), -1);
  EXPECT_TRUE(thread_is_gone(tid));
}

// A kdamond that is in the middle of something that it cannot give up.
TEST_F(KdamondTest, AnInterruptedStopLeavesItStopping) {
  auto context = slow_context();
  std::promise<void> let_go;
  const auto blocked = let_go.get_future().share();
  std::promise<void> began;
  fake_of(*context).on_apply = [&, is_first = true](const Scheme&, Application&) mutable {
    if (!std::exchange(is_first, false)) return;
    began.set_value();
    blocked.wait();
  };
  start(std::move(context));
  clock_.wait_for_sleep(1);
  pass_an_hour();
  began.get_future().wait();
  std::stop_source interrupt;
  auto stopped =
      std::async(std::launch::async, [&] { return kdamond_->stop(interrupt.get_token()); });
  EXPECT_EQ(stopped.wait_for(std::chrono::milliseconds(20)), std::future_status::timeout);
  interrupt.request_stop();
  EXPECT_EQ(error_of(stopped.get()), EINTR);
  EXPECT_TRUE(kdamond_->running());
  let_go.set_value();
  EXPECT_TRUE(kdamond_->stop({}));
  EXPECT_FALSE(kdamond_->running());
}

TEST_F(KdamondTest, StopIsForGood) {
  start(slow_context());
  kdamond_->stop();
  kdamond_->stop();
  EXPECT_FALSE(kdamond_->running());
  EXPECT_EQ(error_of(kdamond_->call(nothing, {})), ECANCELED);
  EXPECT_EQ(error_of(kdamond_->walk(visit_nothing, {})), ECANCELED);
}

TEST_F(KdamondTest, DestructionStops) {
  auto context = slow_context();
  const std::weak_ptr<TargetHandle> handle = context->targets.front().handle;
  start(std::move(context));
  const pid_t tid = kdamond_->tid();
  clock_.wait_for_sleep(1);
  EXPECT_FALSE(handle.expired());
  kdamond_.reset();
  EXPECT_TRUE(handle.expired());
  EXPECT_TRUE(thread_is_gone(tid));
}

TEST_F(KdamondTest, EndsByItselfWhenNoTargetIsValid) {
  auto context = slow_context();
  std::atomic<bool> valid = true;
  fake_of(*context).valid = [&](const Target&) { return valid.load(); };
  std::atomic<bool> let_go = false;
  context->targets.front().handle = std::make_shared<SlowHandle>(let_go);
  start(std::move(context));
  clock_.wait_for_sleep(1);
  EXPECT_TRUE(kdamond_->running());
  valid = false;
  pass_an_hour();
  wait_for_end();
  EXPECT_TRUE(let_go) << "processes are let go before it is said to have ended";
  EXPECT_EQ(kdamond_->tid(), -1);
  EXPECT_EQ(error_of(kdamond_->call(nothing, {})), ECANCELED);
  EXPECT_EQ(error_of(kdamond_->walk(visit_nothing, {})), ECANCELED);
  kdamond_->stop();
}

TEST_F(KdamondTest, StartsWithoutTargetsAndEndsAtOnce) {
  start(fake_context());
  wait_for_end();
  EXPECT_EQ(kdamond_->tid(), -1);
}

// --- Calls

TEST_F(KdamondTest, CallRunsOnItsThreadAfterTheSamplingInterval) {
  start(slow_context());
  clock_.wait_for_sleep(1);
  std::atomic<pid_t> ran_on = 0;
  const auto asker = ask([&](Context& context) {
    ran_on = gettid();
    EXPECT_EQ(context.schedule.passed, 1);
    return Result<void>();
  });
  EXPECT_EQ(ran_on, 0);
  pass_an_hour();
  EXPECT_EQ(asker->answer(), 0);
  EXPECT_EQ(ran_on, kdamond_->tid());
}

TEST_F(KdamondTest, CallReturnsItsError) {
  start(slow_context());
  clock_.wait_for_sleep(1);
  const auto asker = ask([](Context&) -> Result<void> { return fail(EINVAL, "as wanted"); });
  pass_an_hour();
  EXPECT_EQ(asker->answer(), EINVAL);
  EXPECT_TRUE(kdamond_->running());
}

TEST_F(KdamondTest, InterruptedCallLeavesItAlone) {
  start(slow_context());
  clock_.wait_for_sleep(1);
  std::atomic<bool> ran = false;
  const auto interrupted = ask([&](Context&) {
    ran = true;
    return Result<void>();
  });
  interrupted->interrupt();
  EXPECT_EQ(interrupted->answer(), EINTR);
  const auto other = ask(nothing);
  pass_an_hour();
  EXPECT_EQ(other->answer(), 0);
  EXPECT_FALSE(ran);
  EXPECT_TRUE(kdamond_->running());
}

// Asked too late in the last interval to be served in it.
TEST_F(KdamondTest, CallsThatWaitAtTheEndAreCancelled) {
  auto context = slow_context();
  std::atomic<bool> valid = true;
  FakeOperations& fake = fake_of(*context);
  fake.valid = [&](const Target&) { return valid.load(); };
  std::vector<std::unique_ptr<Asker>> askers;
  std::atomic<bool> ran = false;
  fake.on_update = [&](Context&) {
    valid = false;
    for (int i = 0; i < 2; ++i) {
      askers.push_back(ask([&](Context&) {
        ran = true;
        return Result<void>();
      }));
    }
    askers.push_back(ask_to_walk());
    EXPECT_FALSE(askers.front()->done());
  };
  start(std::move(context));
  clock_.wait_for_sleep(1);
  pass_an_hour();
  wait_for_end();
  ASSERT_EQ(askers.size(), 3);
  for (const auto& asker : askers) EXPECT_EQ(asker->answer(), ECANCELED);
  EXPECT_FALSE(ran);
}

// --- Walks

TEST_F(KdamondTest, WalkReportsRegions) {
  start(slow_context());
  clock_.wait_for_sleep(1);
  std::atomic<uint64_t> sum = 0;
  Asker asker([&](const std::stop_token& stop) {
    return kdamond_->walk(
        [&](const Context&, size_t, const Application& work) {
          EXPECT_EQ(gettid(), kdamond_->tid());
          sum += work.region->range.size();
        },
        stop);
  });
  EXPECT_EQ(error_of(kdamond_->walk(visit_nothing, {})), EBUSY);
  pass_an_hour();
  EXPECT_EQ(asker.answer(), 0);
  EXPECT_EQ(sum, 100 * kPage);
}

TEST_F(KdamondTest, InterruptedWalkLeavesItAlone) {
  start(slow_context());
  clock_.wait_for_sleep(1);
  const auto interrupted = ask_to_walk();
  interrupted->interrupt();
  EXPECT_EQ(interrupted->answer(), EINTR);
  const auto other = ask_to_walk();
  pass_an_hour();
  EXPECT_EQ(other->answer(), 0);
  EXPECT_TRUE(kdamond_->running());
}

// --- All at once

class KdamondStressTest : public testing::Test {
 protected:
  QuietLog quiet_;

  static Result<void> commit_anew(Context& running) {
    const auto wanted = fake_context();
    wanted->attrs.max_nr_regions = running.attrs.max_nr_regions == 1000 ? 100 : 1000;
    wanted->add_target(fake_handle(1));
    wanted->add_scheme(running.schemes.front().params);
    return commit_context(running, *wanted);
  }
  static void count(std::array<std::atomic<int>, 200>& answers, const Result<void>& result) {
    ++answers.at(static_cast<size_t>(error_of(result)));
  }
};

// Threads call, walk and interrupt one another's waits until the kdamond is stopped among them.
TEST_F(KdamondStressTest, AnswersEverybodyUntilItIsStopped) {
  constexpr int kRounds = 20;
  std::array<std::atomic<int>, 200> answers{};
  std::atomic<int> ran = 0;
  for (int round = 0; round < kRounds; ++round) {
    VirtualClock clock;
    auto context = slow_context();
    context->attrs = MonitoringAttrs();
    auto started = Kdamond::start(std::move(context), clock, "kdamond.0");
    ASSERT_TRUE(started);
    Kdamond& kdamond = **started;
    std::vector<std::jthread> threads;
    threads.reserve(4);
    for (int thread = 0; thread < 4; ++thread) {
      threads.emplace_back([&, thread] {
        std::mt19937 engine(static_cast<unsigned>(thread));
        while (kdamond.running()) {
          std::stop_source stop;
          if (engine() % 3 == 0) stop.request_stop();
          if (thread == 0) {
            count(answers, kdamond.walk(visit_nothing, stop.get_token()));
          } else {
            count(answers, kdamond.call(
                               [&](Context& running) {
                                 ++ran;
                                 return commit_anew(running);
                               },
                               stop.get_token()));
          }
        }
      });
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    kdamond.stop();
    threads.clear();
    count(answers, kdamond.call(nothing, {}));
  }
  EXPECT_GT(answers[0], 0);
  EXPECT_GT(ran, 0);
  EXPECT_GE(answers[ECANCELED], kRounds);
  int others = 0;
  for (size_t code = 1; code < answers.size(); ++code) {
    if (code != EINTR && code != ECANCELED) others += answers[code];
  }
  EXPECT_EQ(others, 0);
}

}  // namespace
}  // namespace damonfs
