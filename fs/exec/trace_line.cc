#include "fs/exec/trace_line.h"

#include <fmt/format.h>

#include <algorithm>

#include "fs/exec/perf_options.h"

namespace damonfs {

namespace {

// The parts of "   kdamond.0-77      [001] ..... 12.345678901: damon_aggregated: target_id=...".
struct TraceLine {
  std::string_view comm;
  std::string_view tid;
  std::string_view cpu;   // with its brackets
  std::string_view time;  // seconds, with nine decimals
  std::string_view event;
  std::string_view fields;
};

std::optional<TraceLine> take_apart(std::string_view line) {
  constexpr auto kNone = std::string_view::npos;
  const size_t cpu = line.find(" [");
  const size_t cpu_end = line.find(']', cpu);
  const size_t time_end = line.find(": ", cpu_end);
  const size_t dash = line.substr(0, cpu).rfind('-');
  if (cpu == kNone || cpu_end == kNone || time_end == kNone || dash == kNone) return std::nullopt;
  const size_t event_end = line.find(": ", time_end + 2);
  if (event_end == kNone) return std::nullopt;
  const size_t time = line.rfind(' ', time_end) + 1;
  TraceLine parts;
  parts.comm = line.substr(0, dash);
  parts.comm.remove_prefix(std::min(parts.comm.find_first_not_of(' '), dash));
  parts.tid = line.substr(dash + 1, cpu - dash - 1);
  parts.tid = parts.tid.substr(0, parts.tid.find(' '));
  parts.cpu = line.substr(cpu + 1, cpu_end - cpu);
  parts.time = line.substr(time, time_end - time);
  parts.event = line.substr(time_end + 2, event_end - time_end - 2);
  parts.fields = line.substr(event_end + 2);
  return parts;
}

uint64_t nanoseconds(std::string_view time) {
  uint64_t digits = 0;
  for (const char c : time) {
    if (c != '.') digits = digits * 10 + static_cast<uint64_t>(c - '0');
  }
  return digits;
}

}  // namespace

std::string_view event_of(std::string_view line) {
  const auto parts = take_apart(line);
  return parts ? parts->event : std::string_view();
}

std::optional<std::string> script_line(std::string_view line, bool ns) {
  auto parts = take_apart(line);
  if (!parts) return std::nullopt;
  constexpr size_t kNsBeyondUs = 3;
  if (!ns && parts->time.size() > kNsBeyondUs) parts->time.remove_suffix(kNsBeyondUs);
  return fmt::format("{:>16} {:>7} {} {}: {}{}: {}", parts->comm, parts->tid, parts->cpu,
                     parts->time, kDamonSystem, parts->event, parts->fields);
}

std::optional<std::string> live_line(std::string_view line, uint64_t& start_ns) {
  const auto parts = take_apart(line);
  if (!parts) return std::nullopt;
  const uint64_t time_ns = nanoseconds(parts->time);
  if (start_ns == 0) start_ns = time_ns;
  constexpr double kNsInMs = 1e6;
  const double ms = static_cast<double>(static_cast<int64_t>(time_ns - start_ns)) / kNsInMs;
  return fmt::format("{:10.3f} {}/{} {}{}({})", ms, parts->comm, parts->tid, kDamonSystem,
                     parts->event, parts->fields);
}

}  // namespace damonfs
