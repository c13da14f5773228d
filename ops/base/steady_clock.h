// Real time.
#pragma once

#include <cstdint>
#include <stop_token>

#include "core/base/clock.h"

namespace damonfs {

// Lets `us` microseconds of real time go by, less when `stop` is requested in between. Late by
// little more than scheduling takes: the calling thread's timer slack (50 us by default, a
// hundredth of a sampling interval) is set to 1 us.
void sleep_real_us(uint64_t us, const std::stop_token& stop);

// The machine's monotonic clock: does not run while the machine sleeps. Stateless, thread-safe.
class SteadyClock final : public Clock {
 public:
  [[nodiscard]] uint64_t now_ns() const override;
  void sleep_us(uint64_t us, const std::stop_token& stop) override { sleep_real_us(us, stop); }
};

}  // namespace damonfs
