// The perf of `damonfs exec`: answers for the trace events of damon:, from the daemon's stream, in
// the forms in which tools ask for them; all else is for the perf of the machine.
//   perf record [-a] [-q] [-o FILE] -e damon:EVENT... [[--] COMMAND...]
//   perf script [--force] [--ns] [-i FILE]
//   perf trace [--libtraceevent_print] [-o FILE] -e damon:EVENT... [[--] COMMAND...]
//   perf list [...]
// On a machine without perf `perf report` and `perf --version` tell so; all else fails with 127.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"

namespace damonfs {

// What a `perf record` or `perf trace` that is for us asks for.
struct PerfRecord {
  std::vector<std::string> events;   // without "damon:"; may have wildcards
  std::string output;                // empty: perf.data, of trace standard error
  std::vector<std::string> command;  // empty: until a signal comes
  bool quiet = false;
  bool live = false;  // trace: text as it comes
};

// What `words` (those behind "record" or "trace") ask for; nothing when no event of ours is among
// them. EINVAL when ours are mixed with others, or for an option that is not known.
Result<std::optional<PerfRecord>> parse_perf_record(std::span<char* const> words);

// A line of trace_pipe as `perf script` has it; nothing for one that is no event. With `ns` the
// time is in nanoseconds, else in microseconds.
[[nodiscard]] std::optional<std::string> script_line(std::string_view trace_line, bool ns);

// The same as `perf trace` has it, with milliseconds since `start_ns`; that is set by the first
// event when it is 0.
[[nodiscard]] std::optional<std::string> live_line(std::string_view trace_line, uint64_t& start_ns);

// The name of the event in a line of trace_pipe; empty when it is none.
[[nodiscard]] std::string_view event_of(std::string_view trace_line);

// perf with `words` as its arguments, its own name first; returns the exit status.
int run_perf(std::span<char* const> words);

}  // namespace damonfs
