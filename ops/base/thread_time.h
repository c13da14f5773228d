// Times that work is measured by.
#pragma once

#include <chrono>
#include <cstdint>
#include <ctime>

namespace damonfs {

// Processor time of the calling thread, in nanoseconds.
[[nodiscard]] inline uint64_t thread_cpu_ns() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1000000000 + static_cast<uint64_t>(time.tv_nsec);
}

// CLOCK_MONOTONIC, in nanoseconds.
[[nodiscard]] inline uint64_t wall_ns() {
  return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}

}  // namespace damonfs
