// The file `refresh_ms`: what a running kdamond has to report comes into the files by itself.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>

#include "core/kdamond.h"
#include "fs/damon/report.h"

namespace damonfs {

// Keeps the period and, for each run of a kdamond, a thread that shows its reports once a period,
// in real time. Owned by SysfsKdamond. Its thread only ever tries the tree's lock, and skips a
// period when it cannot have it, so that all of this may be called, and the refresher destroyed,
// with the lock held.
class Refresher {
 public:
  using ShowFn = std::function<void(const Report&)>;

  // Milliseconds between two reports; 0: none. A change starts a new period.
  [[nodiscard]] uint32_t ms() const;
  void set_ms(uint32_t ms);

  // Follows `kdamond` until it has ended or is let go, in place of the one before. `show` is called
  // with `tree_mutex` held; both outlive the refresher. EAGAIN, ENOMEM when no thread is to be had:
  // nothing is followed then.
  Result<void> follow(std::shared_ptr<Kdamond> kdamond, std::mutex& tree_mutex, ShowFn show);
  // Follows nothing any more, and has no thread.
  void let_go() { thread_ = {}; }

 private:
  // Until a period is over; false when `stop` is requested first.
  bool wait_period(const std::stop_token& stop);

  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  uint32_t ms_ = 0;
  std::jthread thread_;  // last: joined before what it uses goes
};

}  // namespace damonfs
