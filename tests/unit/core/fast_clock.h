// For tests of kdamonds that are threads: time that makes them quick, and waiting for what they do.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <stop_token>
#include <thread>

#include "core/base/clock.h"

namespace damonfs {

// Time that passes 50 times as fast as it does.
class FastClock final : public Clock {
 public:
  [[nodiscard]] uint64_t now_ns() const override {
    return static_cast<uint64_t>(50 * std::chrono::steady_clock::now().time_since_epoch().count());
  }
  void sleep_us(uint64_t us, const std::stop_token& stop) override {
    const uint64_t end = now_ns() + us * 1000;
    while (!stop.stop_requested() && now_ns() < end) {
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }
};

// Polls, for at most ten seconds.
inline bool eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 10000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

}  // namespace damonfs
