// Work that may block for as long as another process likes.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>

namespace damonfs {

// How much work is running beside (SideWork), blocked work included: 64 pieces at most.
[[nodiscard]] size_t nr_beside();

// How long to wait for work that should be done at once: 20 ms, and the less the more work is
// blocked, so that all who are stuck together hold up nobody for long.
[[nodiscard]] std::chrono::microseconds patience();

// Work about one thing, of which one piece runs at a time. Copies are of the same. Any thread may
// use it.
class SideWork {
 public:
  // Has `work` run on a thread beside the caller's unless some is running already, and waits for
  // the end of what runs, but not longer than `patience` from its beginning. Returns whether it has
  // ended; false as well where there was no thread for it. What the work writes may be read when
  // this has returned true. Nobody ends or waits for work that blocks: whatever it uses must live
  // as long as it does. Exceptions of the work are logged.
  [[nodiscard]] bool run(std::function<void()> work, std::chrono::microseconds patience) const;
  // The same without new work: whether what was running, if any, has ended.
  [[nodiscard]] bool wait(std::chrono::microseconds patience) const;
  // Whether work is running that is not blocked: it waits for a processor, or uses one.
  [[nodiscard]] bool wants_processor() const;

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable ended;
    bool running = false;
    pid_t thread = 0;  // that runs it; 0 before it has begun
    std::chrono::steady_clock::time_point began;
  };
  static bool wait(State& state, std::unique_lock<std::mutex>& lock,
                   std::chrono::microseconds patience);

  std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace damonfs
