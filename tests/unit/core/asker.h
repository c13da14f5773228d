// Somebody who asks a kdamond for something and waits, in a thread of its own.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

#include "core/base/result.h"

namespace damonfs {

// The constructor returns once the thread sleeps, that is its request waits, or has its answer.
// Interrupts the wait when destroyed.
class Asker {
 public:
  using Ask = std::function<Result<void>(const std::stop_token&)>;

  explicit Asker(Ask ask)
      : thread_([this, ask = std::move(ask)](const std::stop_token& stop) {
          tid_ = gettid();
          result_ = ask(stop);
          done_ = true;
        }) {
    while (!done_ && !asleep()) std::this_thread::yield();
  }

  [[nodiscard]] bool done() const { return done_; }
  void interrupt() { thread_.request_stop(); }

  // Waits for the answer, and gives its errno; 0 for success.
  int answer() {
    if (thread_.joinable()) thread_.join();
    return result_ ? 0 : result_.error().code;
  }

 private:
  // A thread that waits stays asleep; one that only met a lock does not.
  [[nodiscard]] bool asleep() const {
    for (int look = 0; look < 5; ++look) {
      if (tid_ == 0 || state() != 'S') return false;
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    return true;
  }
  [[nodiscard]] char state() const {
    std::ifstream stat("/proc/self/task/" + std::to_string(tid_) + "/stat");
    std::string line;
    std::getline(stat, line);
    const size_t name_end = line.rfind(") ");
    return name_end == std::string::npos ? '?' : line[name_end + 2];
  }

  std::atomic<pid_t> tid_ = 0;
  std::atomic<bool> done_ = false;
  Result<void> result_;
  std::jthread thread_;  // last: joined before what it uses goes
};

}  // namespace damonfs
