// What the tests of the backend `pte` share.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "core/base/clock.h"
#include "ops/pte/pte_backend.h"
#include "tests/unit/ops/pte/pte_child.h"
#include "tests/unit/ops/required.h"

namespace damonfs {

// Time that goes on by a millisecond each time it is asked for, and by what a test says.
class TickingClock final : public Clock {
 public:
  [[nodiscard]] uint64_t now_ns() const override { return now_ns_ += 1000000; }
  void sleep_us(uint64_t us, const std::stop_token& /*stop*/) override { now_ns_ += us * 1000; }

 private:
  mutable uint64_t now_ns_ = 3600ULL * 1000000000;  // nothing was done lately
};

inline std::vector<size_t> those(size_t count, const std::function<bool(size_t)>& which) {
  std::vector<size_t> found;
  for (size_t i = 0; i < count; ++i)
    if (which(i)) found.push_back(i);
  return found;
}

// Which of `samples`, of pages or of frames, were found accessed.
template <class Samples>
std::vector<size_t> accessed_of(const Samples& samples) {
  return those(samples.size(), [&](size_t i) { return samples[i].accessed; });
}

// A test with a backend; skipped where the kernel or the rights do not allow one.
class PteTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = PteBackend::create(Paths{}, clock_);
    if (!made) SKIP_WITHOUT("pte", made.error());
    bits_ = std::move(*made);
  }

  std::vector<size_t> accessed(std::span<Sample> samples) {
    bits_->check(samples);
    return accessed_of(samples);
  }

  TickingClock clock_;
  std::unique_ptr<PteBackend> bits_;
};

// Touches the pages of `memory` that `which` names; to be run in the child.
template <typename Which>
Actor::Action touch(const FreshMemory& memory, Which which) {
  return [&memory, which = std::move(which)] {
    flush_tlb();
    for (size_t i = 0; i < memory.pages(); ++i)
      if (which(i)) *memory.page(i) = 1;
  };
}

inline Actor::Action touch_all(const FreshMemory& memory) {
  return touch(memory, [](size_t) { return true; });
}

}  // namespace damonfs
