// The daemon's event stream: from kdamonds, which must never wait, to whoever reads
// kernel/tracing/trace_pipe of the tree.
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/trace.h"
#include "fs/tree/node.h"

namespace damonfs {

// An event as it is recorded: with when, where and by whom. A plain value.
struct TraceRecord {
  uint64_t time_ns = 0;
  pid_t tid = 0;
  int cpu = 0;
  std::array<char, 16> thread{};  // its name
  TraceFields fields;
};

// One line, as trace_pipe of the kernel has it, with nanoseconds.
[[nodiscard]] std::string trace_line(const TraceRecord& record);

// One reader's events. Thread-safe; kept by the reader, known to the hub while it lives.
class TraceReader final : public TextStream {
 public:
  // A reader that has not taken so many events in time loses those that follow.
  static constexpr size_t kMax = 65536;

  void push(const TraceRecord& record);

  // As many lines as fit into `max` bytes, one at least; the rest of a line that was cut comes
  // first in the next call. What was lost is a line, too: "[LOST 37 EVENTS]".
  std::string read_now(size_t max) override;
  bool wait(const std::stop_token& stop) override;

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<TraceRecord> queue_;
  uint64_t nr_lost_ = 0;  // since the last that was queued was taken
  std::string rest_;      // of what was read
};

// All readers of one daemon. Thread-safe; outlives kdamonds and the tree.
class TracePipe final : public TraceSink {
 public:
  [[nodiscard]] bool wanted() const override { return nr_readers_.load() != 0; }
  void emit(uint64_t time_ns, const TraceFields& fields) override;

  // A new reader, of events from now on; forgotten when nobody else holds it.
  [[nodiscard]] std::shared_ptr<TraceReader> open();

 private:
  std::mutex mutex_;
  std::vector<std::weak_ptr<TraceReader>> readers_;
  std::atomic<size_t> nr_readers_ = 0;
};

// Makes kernel/tracing below the tree's root: trace_pipe, available_events and
// events/damon/*/format.
void add_tracing(Tree& tree, const std::shared_ptr<TracePipe>& hub);

}  // namespace damonfs
