#include "ops/base/steady_clock.h"

#include <sys/prctl.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>

namespace damonfs {

void sleep_real_us(uint64_t us, const std::stop_token& stop) {
  if (us == 0) return;
  [[maybe_unused]] thread_local const int slack_set = ::prctl(PR_SET_TIMERSLACK, 1000UL, 0, 0, 0);
  // A century: what a user writes into a file must not overflow the sum with the present time.
  constexpr uint64_t kLongest = 100ULL * 365 * 24 * 3600 * 1000000;
  std::mutex mutex;
  std::condition_variable_any stopped;
  std::unique_lock lock(mutex);
  stopped.wait_for(lock, stop, std::chrono::microseconds(std::min(us, kLongest)),
                   [] { return false; });
}

uint64_t SteadyClock::now_ns() const {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                   std::chrono::steady_clock::now().time_since_epoch())
                                   .count());
}

}  // namespace damonfs
