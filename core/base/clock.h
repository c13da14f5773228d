// Time as core sees it. Core never asks the machine for the time: it is handed a Clock, so that the
// same kdamond runs in real time, or an hour of it in a fraction of a second.
#pragma once

#include <cstdint>
#include <stop_token>

namespace damonfs {

// Where a kdamond's time comes from. Shared by everything that runs in one time; must be safe to
// call from any thread.
class Clock {
 public:
  virtual ~Clock() = default;

  // Nanoseconds since an epoch of the clock's own; never goes backwards.
  [[nodiscard]] virtual uint64_t now_ns() const = 0;

  // Lets `us` microseconds go by, less when `stop` is requested in between.
  virtual void sleep_us(uint64_t us, const std::stop_token& stop) = 0;
};

}  // namespace damonfs
