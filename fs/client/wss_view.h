// What `damonfs wss` prints.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "reclaim/working_set.h"
#include "services/memory_groups.h"

namespace damonfs {

// Memory by name. A value. Classes of a group: accessed within each of `seconds` and in no shorter
// time, then unknown, then idle for longer.
struct WssNames {
  std::vector<uint64_t> seconds;  // windows, shortest first
  std::vector<MemoryGroup> groups;

  [[nodiscard]] size_t unknown_class() const { return seconds.size(); }
  [[nodiscard]] size_t idle_class() const { return seconds.size() + 1; }
  // Bytes of `group` that were accessed within window `i`.
  [[nodiscard]] static uint64_t within(const MemoryGroup& group, size_t i);
};

// The working set of one process, or of a service, and what measuring it has cost. A value.
struct WssResult {
  int pid = 0;              // 0: of the service `follow`
  std::string follow;       // in the words of parse_selector()
  size_t nr_processes = 1;  // of the service
  std::optional<WssNames> names;
  std::string name;
  uint64_t rss = 0;        // as the kernel says; bytes
  uint64_t pinned = 0;     // of these, for devices and io_uring; bytes
  double cpu_percent = 0;  // of one processor, since the first sweep has ended
  WorkingSetReport report;
};

// For people.
[[nodiscard]] std::string wss_text(const WssResult& result);

// One line, without the newline: {"pid", "rss_bytes", "unknown_bytes", "windows": [{"seconds",
// "bytes"}], "idle": [{"seconds", "bytes"}], "cost": {"cpu_percent", "sweeps", "pages_made_old",
// "longest_call_ms"}}; for a service "follow" and "processes" in place of "pid". With names also
// "by":
// [{"name", "kind", "pid", "bytes", "unknown_bytes", "windows"}]. Where pages were sampled also
// "sampled_share", and "error_bytes" in windows.
[[nodiscard]] std::string wss_json(const WssResult& result);

// A row a sweep and the names of its columns, without newlines. What is not yet known is empty.
[[nodiscard]] std::string wss_csv_header();
[[nodiscard]] std::string wss_csv(const WssResult& result);

// A configuration (`mount --config`, `simulate`) with one scheme that pages out what process `pid`
// has not accessed for `age_ns`. `idle`: how much that was, in bytes, for a comment; none: not
// known.
[[nodiscard]] std::string wss_scheme(const WssResult& result, uint64_t age_ns,
                                     std::optional<uint64_t> idle);

}  // namespace damonfs
