// Time for tests.
#pragma once

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <stop_token>

#include "core/base/arithmetic.h"
#include "core/base/clock.h"

namespace damonfs {

// Time that passes only when somebody sleeps: deterministic with one sleeper; with several, each
// sleeper moves the one shared time on. Thread-safe.
class VirtualClock final : public Clock {
 public:
  [[nodiscard]] uint64_t now_ns() const override {
    const std::lock_guard lock(mutex_);
    return now_ns_;
  }
  void sleep_us(uint64_t us, const std::stop_token& stop) override {
    if (!stop.stop_requested()) advance_ns(mult_frac(us, 1000, 1));
  }
  // Moves the time on without sleeping, as work that takes time would.
  void advance_ns(uint64_t ns) {
    const std::lock_guard lock(mutex_);
    now_ns_ += std::min(ns, UINT64_MAX - now_ns_);
  }

 private:
  mutable std::mutex mutex_;
  uint64_t now_ns_ = 0;
};

}  // namespace damonfs
