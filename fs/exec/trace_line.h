// Lines of trace_pipe in the forms in which perf prints them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace damonfs {

// A line of trace_pipe as `perf script` has it; nothing for one that is no event. With `ns` the
// time is in nanoseconds, else in microseconds.
[[nodiscard]] std::optional<std::string> script_line(std::string_view trace_line, bool ns);

// The same as `perf trace` has it, with milliseconds since `start_ns`; that is set by the first
// event when it is 0.
[[nodiscard]] std::optional<std::string> live_line(std::string_view trace_line, uint64_t& start_ns);

// The name of the event in a line of trace_pipe; empty when it is none.
[[nodiscard]] std::string_view event_of(std::string_view trace_line);

}  // namespace damonfs
