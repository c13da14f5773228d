// Keeping what others can cause to a bounded rate.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <utility>

namespace damonfs {

// Allows something so many times a second, and counts what it did not allow. A value with no thread
// rules of its own; the caller tells the time, which never goes back.
class RateLimit {
 public:
  using Time = std::chrono::steady_clock::time_point;

  explicit RateLimit(int per_second) : per_second_(per_second) {}

  // Whether it may be done at `now`. If so: how many times it was not allowed since it last was.
  [[nodiscard]] std::optional<uint64_t> ask(Time now) {
    if (now - began_ >= std::chrono::seconds(1)) {
      began_ = now;
      done_ = 0;
    }
    if (done_ >= per_second_) {
      ++left_out_;
      return std::nullopt;
    }
    ++done_;
    return std::exchange(left_out_, 0);
  }

 private:
  int per_second_;
  int done_ = 0;  // in the second that began at began_
  Time began_{};
  uint64_t left_out_ = 0;
};

}  // namespace damonfs
