#include "core/base/clock.h"

#include <algorithm>

#include "core/base/arithmetic.h"

namespace damonfs {

uint64_t VirtualClock::now_ns() const {
  const std::lock_guard lock(mutex_);
  return now_ns_;
}

void VirtualClock::sleep_us(uint64_t us, const std::stop_token& stop) {
  if (stop.stop_requested()) return;
  advance_ns(mult_frac(us, 1000, 1));
}

void VirtualClock::advance_ns(uint64_t ns) {
  const std::lock_guard lock(mutex_);
  now_ns_ += std::min(ns, UINT64_MAX - now_ns_);
}

}  // namespace damonfs
