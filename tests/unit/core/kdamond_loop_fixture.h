// What the tests of a kdamond's loop share.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <utility>
#include <vector>

#include "core/base/clock.h"
#include "core/commit.h"
#include "core/kdamond_loop.h"
#include "tests/unit/core/asker.h"
#include "tests/unit/core/fake_operations.h"
#include "tests/unit/core/virtual_clock.h"

namespace damonfs {

// A virtual clock that tells of each sleep.
class TellingClock final : public Clock {
 public:
  std::function<void(uint64_t us)> on_sleep = [](uint64_t) {};
  [[nodiscard]] uint64_t now_ns() const override { return time_.now_ns(); }
  void sleep_us(uint64_t us, const std::stop_token& stop) override {
    on_sleep(us);
    time_.sleep_us(us, stop);
  }

 private:
  VirtualClock time_;
};

// A loop over one target of 100 pages, run interval by interval in virtual time.
class KdamondLoopTest : public testing::Test {
 protected:
  KdamondLoopTest() { target_.add_region(pages(0, 100)); }

  // A scheme that is tried on every region.
  Scheme& add_scheme(uint64_t apply_interval_us = 0, Action action = Action::stat) {
    SchemeParams params;
    params.pattern = kEverything;
    params.apply_interval_us = apply_interval_us;
    params.action = action;
    return context_->add_scheme(params);
  }
  void set_intervals(uint64_t sample_us, uint64_t aggr_us, uint64_t update_us = 60000000) {
    context_->attrs.sample_us = sample_us;
    context_->attrs.aggr_us = aggr_us;
    context_->attrs.update_us = update_us;
  }
  void start() {
    loop_.emplace(*context_, clock_, requests_);
    loop_->start();
  }
  void run(uint64_t intervals) {
    for (uint64_t i = 0; i < intervals; ++i) ASSERT_TRUE(loop_->run_once(stop_.get_token()));
  }
  bool run_once() { return loop_->run_once(stop_.get_token()); }

  std::unique_ptr<Asker> ask(CallFn fn) {
    return std::make_unique<Asker>([this, fn = std::move(fn)](const std::stop_token& stop) {
      return requests_.call(fn, stop);
    });
  }
  // Asks for what the kdamond would do when `change` is committed.
  std::unique_ptr<Asker> ask_to_commit(std::function<void(Context&)> change) {
    return ask([change = std::move(change)](Context& running) {
      const auto wanted = fake_context();
      wanted->attrs = running.attrs;
      for (size_t i = 0; i < running.targets.size(); ++i) wanted->add_target(nullptr);
      for (const Scheme& scheme : running.schemes) wanted->add_scheme(scheme.params);
      change(*wanted);
      return commit_context(running, *wanted);
    });
  }
  std::unique_ptr<Asker> ask_to_walk() {
    return std::make_unique<Asker>([this](const std::stop_token& stop) {
      return requests_.walk(
          [this](const Context& context, size_t scheme_idx, const Application& work) {
            visited_.push_back({work.region->range, work.region->nr_accesses, work.region->age});
            visited_by_.push_back(&scheme_at(context, scheme_idx));
          },
          stop);
    });
  }
  Region& front() { return target_.regions().front(); }
  uint64_t passed() const { return context_->schedule.passed; }

  std::unique_ptr<Context> context_ = fake_context();
  FakeOperations& fake_ = fake_of(*context_);
  Target& target_ = context_->add_target(nullptr);
  TellingClock clock_;
  RequestQueue requests_;
  std::stop_source stop_;
  std::optional<KdamondLoop> loop_;
  std::vector<Known> visited_;
  std::vector<const Scheme*> visited_by_;
};

}  // namespace damonfs
