#include "reclaim/module.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <thread>

#include "reclaim/proactive_reclaim.h"
#include "tests/unit/core/asker.h"
#include "tests/unit/core/fast_clock.h"
#include "tests/unit/reclaim/fake_machine.h"

namespace damonfs {
namespace {

// Counts how often it was built, and how often it has been looked at.
struct CountedParams {
  PhysicalParams physical;
  std::atomic<int>* built = nullptr;
};
struct CountedReport {
  static CountedReport of(const Context& context) {
    return {context.schedule.passed, context.attrs.min_nr_regions};
  }
  uint64_t passed = 0;
  uint64_t min_nr_regions = 0;
};
Result<std::unique_ptr<Context>> build_context(CountedParams& params, const Machine& machine,
                                               ContextUse use) {
  if (params.built != nullptr) ++*params.built;
  return physical_context(params.physical, machine, use);
}

class ModuleTest : public testing::Test {
 protected:
  using CountedModule = Module<CountedParams, CountedReport>;
  FastClock clock_;
  Machine machine_ = fake_machine(&clock_);
  CountedModule module_{machine_, 0};
  CountedParams params_;
};

TEST_F(ModuleTest, RunsFromStartToStop) {
  EXPECT_FALSE(module_.running());
  EXPECT_EQ(-1, module_.pid());
  ASSERT_EQ(0, error_of(module_.start(params_)));
  EXPECT_TRUE(module_.running());
  EXPECT_GT(module_.pid(), 0);
  EXPECT_EQ(kRam, params_.physical.region);
  EXPECT_TRUE(eventually([&] { return module_.report().passed >= 3; }));
  ASSERT_EQ(0, error_of(module_.stop()));
  EXPECT_FALSE(module_.running());
  EXPECT_EQ(-1, module_.pid());
  EXPECT_GE(module_.report().passed, 3U) << "the last report stays";
  EXPECT_EQ(0, error_of(module_.stop()));
}

TEST_F(ModuleTest, ASecondStartDoesNothing) {
  std::atomic<int> built = 0;
  params_.built = &built;
  ASSERT_EQ(0, error_of(module_.start(params_)));
  const pid_t pid = module_.pid();
  EXPECT_EQ(0, error_of(module_.start(params_)));
  EXPECT_EQ(pid, module_.pid());
  EXPECT_EQ(1, built);
}

TEST_F(ModuleTest, AFailedStartLeavesItOff) {
  params_.physical.min_nr_regions = 2;
  EXPECT_EQ(EINVAL, error_of(module_.start(params_)));
  EXPECT_FALSE(module_.running());
  EXPECT_EQ(EINVAL, error_of(module_.commit(params_, {}))) << "it was never on";
}

TEST_F(ModuleTest, ModulesRunAlone) {
  CountedModule other(machine_, 0);
  ASSERT_EQ(0, error_of(module_.start(params_)));
  EXPECT_EQ(EBUSY, error_of(other.start(params_)));
  EXPECT_EQ(-1, other.pid());
  ASSERT_EQ(0, error_of(module_.stop()));
  EXPECT_EQ(0, error_of(other.start(params_)));
}

TEST_F(ModuleTest, ACommitIsDoneWhenItReturns) {
  ASSERT_EQ(0, error_of(module_.start(params_)));
  params_.physical.min_nr_regions = 42;
  ASSERT_EQ(0, error_of(module_.commit(params_, {})));
  EXPECT_TRUE(eventually([&] { return module_.report().min_nr_regions == 42; }));
  const uint64_t passed = module_.report().passed;
  params_.physical.min_nr_regions = 2;
  EXPECT_EQ(EINVAL, error_of(module_.commit(params_, {})));
  EXPECT_TRUE(eventually([&] { return module_.report().passed > passed; })) << "it runs on";
  EXPECT_EQ(42U, module_.report().min_nr_regions);
  ASSERT_EQ(0, error_of(module_.stop()));
  EXPECT_EQ(ECANCELED, error_of(module_.commit(params_, {})));
}

TEST_F(ModuleTest, ReportsComeOnceAPeriod) {
  CountedModule seldom(machine_, uint64_t{3600} * 1'000'000'000);
  ASSERT_EQ(0, error_of(seldom.start(params_)));
  params_.physical.min_nr_regions = 42;
  ASSERT_EQ(0, error_of(seldom.commit(params_, {}))) << "so it has come round";
  ASSERT_EQ(0, error_of(seldom.commit(params_, {})));
  EXPECT_EQ(0U, seldom.report().passed);
}

TEST_F(ModuleTest, WhileACommitWaitsOtherCommandsAreRefused) {
  std::atomic<bool> hold = true;
  machine_.make_operations = [&hold](OpsId) -> Result<std::unique_ptr<Operations>> {
    auto operations = std::make_unique<FakeOperations>();
    operations->accessed = [&hold](const Sample&) {
      while (hold) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      return false;
    };
    return operations;
  };
  CountedModule held(machine_, 0);
  ASSERT_EQ(0, error_of(held.start(params_)));
  {
    Asker asker([&](const std::stop_token& stop) { return held.commit(params_, stop); });
    EXPECT_EQ(EBUSY, error_of(held.stop()));
    EXPECT_EQ(EBUSY, error_of(held.start(params_)));
    asker.interrupt();
    EXPECT_EQ(EINTR, asker.answer());
  }
  EXPECT_TRUE(held.running());
  hold = false;
  EXPECT_EQ(0, error_of(held.stop()));
}

}  // namespace
}  // namespace damonfs
