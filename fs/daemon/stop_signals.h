// The signals that the daemon understands.
#pragma once

#include <csignal>
#include <functional>
#include <thread>

#include "core/base/result.h"

namespace damonfs {

// Turns the signals that the daemon understands into calls, from a thread of its own: SIGTERM and
// SIGINT ask it to end, SIGHUP to open its log again, SIGUSR1 to become the program that is
// installed by now. Made before all other threads, which must not get these signals. Nothing is
// called any more after the destructor.
class StopSignals {
 public:
  struct Actions {
    std::function<void()> stop;  // once at most
    std::function<void()> reopen;
    std::function<void()> replace;
    bool hangup_ends = false;  // SIGHUP is of a terminal that has gone: the daemon's own
  };

  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  // From now on; signals that came before count. EAGAIN, ENOMEM when no thread is to be had.
  Result<void> watch(Actions actions);

 private:
  sigset_t signals_{};
  std::jthread watcher_;
};

}  // namespace damonfs
