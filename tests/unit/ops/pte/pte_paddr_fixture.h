// What tests of page frames by page tables have in common.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <utility>
#include <vector>

#include "ops/pages/process_pages.h"
#include "ops/pte/pte_paddr_backend.h"
#include "tests/unit/ops/pte/pte_fixture.h"
#include "tests/unit/ops/required.h"
#include "tests/unit/ops/vaddr/vaddr_actions_fixtures.h"

namespace damonfs {

// By this machine's kernel, on page frames of children of this test and no others: the reverse map
// is of them alone.
class PtePaddrFixture : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "page frames are for root";
    if (auto tried = PteBackend::create(Paths(), clock_); !tried)
      SKIP_WITHOUT("pte", tried.error());
  }
  void watch(std::vector<pid_t> pids, ProtectedList protect = {}) {
    constexpr std::chrono::seconds kSoon{200};  // to scan what sanitizers map
    keeper_ = *RmapRefresher::create(
        std::make_unique<ProcfsRmapSource>(Paths(), std::move(protect), std::move(pids)), 1 << 20);
    auto made = PtePaddrBackend::create(Paths(), *keeper_, clock_);
    ASSERT_TRUE(made) << made.error().message;
    bits_ = *std::move(made);
    keeper_->refresh();
    ASSERT_TRUE(keeper_->wait(kSoon));
  }
  // The pages of `memory` that the child has, ascending.
  static std::vector<ProcessPages::Page> pages_of(const Actor& child, const FreshMemory& memory) {
    Kpageflags flags{Paths()};
    auto info = ProcessPages::open(*child.process(), flags);
    const AddrRange range{memory.addr(0), memory.addr(0) + memory.size()};
    return info->present_pages({&range, 1});
  }

  TickingClock clock_;
  std::unique_ptr<RmapRefresher> keeper_;
  std::unique_ptr<PtePaddrBackend> bits_;
};

}  // namespace damonfs
