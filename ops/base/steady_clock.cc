#include "ops/base/steady_clock.h"

#include <linux/futex.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <climits>
#include <ctime>

namespace damonfs {
namespace {

// One word to sleep on: a condition variable costs two system calls and two allocations a sleep.
class SleepWord {
 public:
  // Until `deadline` of CLOCK_MONOTONIC, or wake().
  void wait_until(const timespec& deadline) {
    while (woken_.load() == 0) {
      const long waited = ::syscall(SYS_futex, &woken_, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, 0,
                                    &deadline, nullptr, FUTEX_BITSET_MATCH_ANY);
      if (waited != 0 && errno == ETIMEDOUT) return;
    }
  }
  void wake() {
    woken_.store(1);
    ::syscall(SYS_futex, &woken_, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, INT_MAX, nullptr, nullptr, 0);
  }

 private:
  std::atomic<uint32_t> woken_ = 0;
  static_assert(sizeof(std::atomic<uint32_t>) == sizeof(uint32_t));
};

}  // namespace

void sleep_real_us(uint64_t us, const std::stop_token& stop) {
  if (us == 0) return;
  [[maybe_unused]] thread_local const int slack_set = ::prctl(PR_SET_TIMERSLACK, 1000UL, 0, 0, 0);
  // A century: what a user writes into a file must not overflow the sum with the present time.
  constexpr uint64_t kLongest = 100ULL * 365 * 24 * 3600 * 1000000;
  constexpr uint64_t kUsPerSecond = 1000000;
  constexpr long kNsPerSecond = 1000000000;
  us = std::min(us, kLongest);
  timespec deadline{};
  ::clock_gettime(CLOCK_MONOTONIC, &deadline);
  deadline.tv_sec += static_cast<time_t>(us / kUsPerSecond);
  deadline.tv_nsec += static_cast<long>(us % kUsPerSecond) * 1000;
  if (deadline.tv_nsec >= kNsPerSecond) {
    deadline.tv_nsec -= kNsPerSecond;
    ++deadline.tv_sec;
  }
  SleepWord word;
  const std::stop_callback wake(stop, [&word] { word.wake(); });
  word.wait_until(deadline);
}

uint64_t SteadyClock::now_ns() const {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                   std::chrono::steady_clock::now().time_since_epoch())
                                   .count());
}

}  // namespace damonfs
