// A machine with physical memory that is described by functions, for tests of modules.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <span>
#include <utility>

#include "core/base/clock.h"
#include "core/context.h"
#include "core/kdamond_loop.h"
#include "core/machine.h"
#include "core/operations.h"
#include "core/requests.h"
#include "tests/unit/core/fake_metrics.h"
#include "tests/unit/core/fake_operations.h"
#include "tests/unit/core/virtual_clock.h"
#include "tests/unit/units.h"

namespace damonfs {

constexpr AddrRange kRam{4 * kGiB, 5 * kGiB};
constexpr uint32_t kMax = UINT32_MAX;  // of accesses and age, in patterns

// 1 GiB of System RAM at 4 GiB.
inline Machine fake_machine(Clock* clock = nullptr) {
  Machine machine;
  machine.make_operations = [](OpsId) -> Result<std::unique_ptr<Operations>> {
    return std::make_unique<FakeOperations>();
  };
  machine.system_ram_span = []() -> Result<AddrRange> { return kRam; };
  machine.clock = clock;
  machine.seed = 1;
  return machine;
}

// The context of a module with these parameters, there.
template <class Params>
std::unique_ptr<Context> build(Params params, ContextUse use = ContextUse::start) {
  auto context = build_context(params, fake_machine(), use);
  EXPECT_TRUE(context);
  return *std::move(context);
}

// A module's context, run step by step in virtual time on memory of which [hot_from, hot_to) is
// accessed always. Actions take what was not taken yet; what is accessed is there again.
class Played {
 public:
  explicit Played(std::unique_ptr<Context> context) : context_(std::move(context)) {
    context_->metrics = &metrics;
    fake_of(*context_).accessed = [this](const Sample& sample) {
      return hot.start <= sample.addr && sample.addr < hot.end;
    };
    fake_of(*context_).on_apply = [](const Scheme&, Application& work) {
      work.sz_applied = work.region->range.size();
    };
    loop_.start();
  }
  void run_us(uint64_t us) {
    const uint64_t end = clock.now_ns() + us * 1000;
    while (clock.now_ns() < end) ASSERT_TRUE(loop_.run_once({}));
  }
  Context& context() { return *context_; }
  Scheme& scheme(size_t index = 0) {
    return *std::next(context_->schemes.begin(), static_cast<std::ptrdiff_t>(index));
  }

  AddrRange hot;
  FakeMetrics metrics;
  VirtualClock clock;

 private:
  std::unique_ptr<Context> context_;
  RequestQueue requests_;
  KdamondLoop loop_{*context_, clock, requests_};
};

}  // namespace damonfs
