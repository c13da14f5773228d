// Keeping an activity to a share of time.
#pragma once

#include <algorithm>
#include <chrono>

namespace damonfs {

// Allows something costly whenever it has taken less than a tenth of the time so far: after it took
// d, it has to wait 10 d. What was not used is saved up, but only a little. A value with no thread
// rules of its own; the caller tells the time.
class CpuBudget {
 public:
  using Clock = std::chrono::steady_clock;

  explicit CpuBudget(Clock::time_point now) : last_(now) {}

  // Whether it may be done now, at `now`, which never goes back.
  [[nodiscard]] bool allows(Clock::time_point now) {
    credit_ = std::min<Clock::duration>(credit_ + (now - last_) / kDivisor, kMostSaved);
    last_ = now;
    return credit_ > Clock::duration::zero();
  }
  // It was done and took `cost`.
  void spend(Clock::duration cost) { credit_ -= cost; }

 private:
  static constexpr int kDivisor = 10;
  static constexpr std::chrono::milliseconds kMostSaved{10};

  Clock::time_point last_;
  Clock::duration credit_ = kMostSaved;
};

}  // namespace damonfs
