// The clock of described access patterns.
#pragma once

#include <cstdint>
#include <mutex>
#include <stop_token>

#include "core/base/clock.h"

namespace damonfs {

// Virtual time that flies while a pattern is being played: it passes only when somebody sleeps, and
// a sleep takes no real time. Behind the pattern's end a sleep lasts as long as it says, so that a
// kdamond that plays on (the last phase lasts, or all begins anew) takes no more of the processor
// than in real time and serves requests. Thread-safe; several sleepers move the one time on
// together.
class PatternClock final : public Clock {
 public:
  [[nodiscard]] uint64_t now_ns() const override;
  void sleep_us(uint64_t us, const std::stop_token& stop) override;

  // Lets time fly for `ns` from now at least.
  void fly_ns(uint64_t ns);

 private:
  mutable std::mutex mutex_;
  uint64_t now_ns_ = 0;
  uint64_t flies_until_ns_ = 0;
};

}  // namespace damonfs
