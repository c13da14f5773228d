// What the calling thread has cost.
#pragma once

#include <cstdint>
#include <ctime>

namespace damonfs {

// Processor time of the calling thread, in nanoseconds.
[[nodiscard]] inline uint64_t thread_cpu_ns() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1000000000 + static_cast<uint64_t>(time.tv_nsec);
}

}  // namespace damonfs
