// The clock that commands wait by.
#pragma once

#include <chrono>

namespace damonfs {

// CLOCK_MONOTONIC in seconds.
[[nodiscard]] inline double monotonic_seconds() {
  const auto time = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(time).count();
}

}  // namespace damonfs
