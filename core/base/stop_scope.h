// Work of a thread that is to be given up when the thread is asked to end.
#pragma once

#include <stop_token>

namespace damonfs {

namespace stop_scope_detail {
inline thread_local const std::stop_token* current = nullptr;
}  // namespace stop_scope_detail

// While it exists, asked_to_stop() of its thread answers by `stop`, which outlives it. Not nested.
class StopScope {
 public:
  explicit StopScope(const std::stop_token& stop) { stop_scope_detail::current = &stop; }
  ~StopScope() { stop_scope_detail::current = nullptr; }
  StopScope(const StopScope&) = delete;
  StopScope& operator=(const StopScope&) = delete;
};

// Whether this thread is to end: what takes long asks between two pieces that take a tenth of a
// second at most, and leaves the rest undone. False in threads without a StopScope.
[[nodiscard]] inline bool asked_to_stop() {
  return stop_scope_detail::current != nullptr && stop_scope_detail::current->stop_requested();
}

}  // namespace damonfs
