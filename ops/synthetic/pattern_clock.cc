#include "ops/synthetic/pattern_clock.h"

#include <algorithm>

#include "ops/base/steady_clock.h"

namespace damonfs {

uint64_t PatternClock::now_ns() const {
  const std::lock_guard lock(mutex_);
  return now_ns_;
}

void PatternClock::sleep_us(uint64_t us, const std::stop_token& stop) {
  if (stop.stop_requested()) return;
  std::unique_lock lock(mutex_);
  if (now_ns_ >= flies_until_ns_) {
    lock.unlock();
    sleep_real_us(us, stop);
    lock.lock();
  }
  now_ns_ += us * 1000;
}

void PatternClock::fly_ns(uint64_t ns) {
  const std::lock_guard lock(mutex_);
  flies_until_ns_ = std::max(flies_until_ns_, now_ns_ + ns);
}

}  // namespace damonfs
