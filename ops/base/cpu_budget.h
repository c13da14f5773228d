// Keeping an activity to a share of time.
#pragma once

#include <algorithm>
#include <chrono>

namespace damonfs {

// Allows something costly whenever it has taken less than a share of the time so far, a tenth
// unless told otherwise: after it took d, it has to wait 10 d. What was not used is saved up, but
// only a little. A value with no thread rules of its own; the caller tells the time.
class CpuBudget {
 public:
  using Clock = std::chrono::steady_clock;

  explicit CpuBudget(Clock::time_point now, int one_out_of = 10)
      : one_out_of_(one_out_of), last_(now) {}

  // Whether it may be done now, at `now`, which never goes back.
  [[nodiscard]] bool allows(Clock::time_point now) {
    credit_ = std::min<Clock::duration>(credit_ + (now - last_) / one_out_of_, kMaxSaved);
    last_ = now;
    return credit_ > Clock::duration::zero();
  }
  // It was done and took `cost`.
  void spend(Clock::duration cost) { credit_ -= cost; }

 private:
  static constexpr std::chrono::milliseconds kMaxSaved{10};

  int one_out_of_;
  Clock::time_point last_;
  Clock::duration credit_ = kMaxSaved;
};

}  // namespace damonfs
