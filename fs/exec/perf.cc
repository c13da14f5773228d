#include "fs/exec/perf.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <sstream>

#include "fs/command/child.h"
#include "fs/command/exec_program.h"
#include "fs/command/failures.h"
#include "fs/exec/perf_recording.h"
#include "fs/exec/process_finders.h"
#include "fs/mount/sys_view.h"
#include "fs/tracing/trace_format.h"

namespace damonfs {

namespace {

constexpr std::string_view kOurs = "damon:";
constexpr std::string_view kPerf = "perf (damonfs)";  // who complains
constexpr int kPerfUsage = 129;                       // perf's own

// Becomes the machine's perf.
int hand_over(std::span<char* const> words) {
  const std::string perf = real_program("perf");
  if (perf.empty()) {
    complain("this machine has no perf; only the trace events of damon: can be had", kPerf);
    return 127;
  }
  const int code = exec_program(perf, std::vector<std::string>(words.begin(), words.end()));
  complain(fmt::format("cannot run {}: {}", perf, strerror(code)), kPerf);
  return 126;
}

// Splits what -e was given at commas.
void add_events(std::string_view list, PerfRecord& record, bool& others) {
  std::istringstream events{std::string(list)};
  for (std::string event; std::getline(events, event, ',');) {
    if (event.starts_with(kOurs)) {
      record.events.push_back(event.substr(kOurs.size()));
    } else {
      others = true;
    }
  }
}

// Options of `perf record` and `perf script` that take a value, as far as tools use them here.
bool takes_value(std::string_view option) {
  constexpr std::string_view kOptions[] = {"-e", "--event", "-o", "--output", "-i", "--input"};
  return std::ranges::find(kOptions, option) != std::end(kOptions);
}

// One option and its value, however they are joined: -o FILE, -oFILE, --output FILE, --output=FILE.
struct Option {
  std::string_view name;
  std::string_view value;
};

// The option at the front of `words`, which it takes off.
Option take_option(std::span<char* const>& words) {
  std::string_view word = words.front();
  words = words.subspan(1);
  Option option{word, {}};
  const size_t equals = word.find('=');
  if (word.starts_with("--")) {
    option.name = word.substr(0, equals);
    if (equals != std::string_view::npos) option.value = word.substr(equals + 1);
  } else {
    option.name = word.substr(0, 2);
    option.value = word.substr(std::min<size_t>(2, word.size()));
  }
  if (option.value.empty() && takes_value(option.name) && !words.empty()) {
    option.value = words.front();
    words = words.subspan(1);
  }
  return option;
}

bool harmless(std::string_view option) {
  constexpr std::string_view kOptions[] = {"-a",      "--all-cpus", "-v",
                                           "--force", "-f",         "--libtraceevent_print"};
  return std::ranges::find(kOptions, option) != std::end(kOptions);
}

// Whether there is an event that `pattern` is for.
bool is_known(const std::string& pattern) {
  return std::ranges::any_of(trace_formats(), [&](const EventFormat& event) {
    return ::fnmatch(pattern.c_str(), event.name.data(), 0) == 0;
  });
}

// `perf record` and, with `live`, `perf trace`.
int record(std::span<char* const> words, bool live) {
  auto wanted = parse_perf_record(words.subspan(2));
  if (!wanted) {
    complain(wanted.error().message, kPerf);
    return kPerfUsage;
  }
  if (!*wanted) return hand_over(words);
  auto& events = (*wanted)->events;
  const auto first_unknown = std::ranges::find_if_not(events, is_known);
  // Who traces all that there may be in any kernel, as damo does, is content with what there is.
  const bool enough = live && std::ranges::any_of(events, is_known);
  if (first_unknown != events.end() && !enough) {
    complain(fmt::format("damon:{}: there is no such event", *first_unknown), kPerf);
    return kPerfUsage;
  }
  (*wanted)->live = live;
  if ((*wanted)->output.empty()) (*wanted)->output = live ? "-" : "perf.data";
  const auto recorded = run_recording(**wanted);
  return recorded ? *recorded : complain(recorded.error().message, kPerf);
}

int script(std::span<char* const> words) {
  std::string input = "perf.data";
  bool ns = false;
  bool known = true;
  for (auto rest = words.subspan(2); !rest.empty();) {
    const Option option = take_option(rest);
    if (option.name == "-i" || option.name == "--input") {
      input = option.value;
    } else if (option.name == "--ns") {
      ns = true;
    } else {
      known = known && harmless(option.name);
    }
  }
  if (!is_recording(input)) return hand_over(words);
  if (!known) {
    complain("of the options of perf script only -i, --ns and --force are known for damon: events",
             kPerf);
    return kPerfUsage;
  }
  std::ifstream lines(input);
  for (std::string line; std::getline(lines, line);) {
    if (const auto text = script_line(line, ns)) std::cout << *text << '\n';
  }
  std::cout.flush();
  return std::cout ? 0 : 1;
}

// The machine's list, with our events in place of the kernel's.
int list_events(std::span<char* const> words) {
  const std::string perf = real_program("perf");
  if (!perf.empty()) {
    std::vector<std::string> command = {perf};
    for (const char* word : words.subspan(1)) command.emplace_back(word);
    const auto child = Child::start(command, {});
    if (!child) complain(child.error().message, kPerf);
  }
  const bool filtered = words.size() > 2 && words.back()[0] != '-';
  for (const EventFormat& event : trace_formats()) {
    const std::string name = std::string(kOurs) + std::string(event.name);
    const std::string_view wanted = filtered ? words.back() : "*";
    const bool shown = wanted == "tracepoint" || ::fnmatch(wanted.data(), name.c_str(), 0) == 0;
    if (shown) fmt::print("  {:<50} [Tracepoint event]\n", name);
  }
  return 0;
}

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

// Without a perf no profile was recorded: the report of one says so and is no failure, for `damo
// report holistic` gives up on one. Of what perf prints that shows the sixth line and those after.
int report_nothing() {
  constexpr std::string_view kHeader = "#\n#\n#\n#\n#\n";  // as long as perf's own
  fmt::print("{}# this machine has no perf: no profile of functions\n", kHeader);
  return 0;
}

}  // namespace

Result<std::optional<PerfRecord>> parse_perf_record(std::span<char* const> words) {
  PerfRecord record;
  bool others = false;
  std::string unknown;
  while (!words.empty() && words.front()[0] == '-' && std::string_view(words.front()) != "--") {
    const Option option = take_option(words);
    if (option.name == "-e" || option.name == "--event") {
      add_events(option.value, record, others);
    } else if (option.name == "-o" || option.name == "--output") {
      record.output = option.value;
    } else if (option.name == "-q" || option.name == "--quiet") {
      record.quiet = true;
    } else if (!harmless(option.name)) {
      unknown = option.name;
    }
  }
  if (record.events.empty()) return std::nullopt;
  if (others) return fail(EINVAL, "events of damon: and others do not go into one file here");
  if (!unknown.empty()) return fail(EINVAL, "{} is not known for events of damon:", unknown);
  if (!words.empty() && std::string_view(words.front()) == "--") words = words.subspan(1);
  record.command.assign(words.begin(), words.end());
  return record;
}

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
                     parts->time, kOurs, parts->event, parts->fields);
}

std::optional<std::string> live_line(std::string_view line, uint64_t& start_ns) {
  const auto parts = take_apart(line);
  if (!parts) return std::nullopt;
  const uint64_t time_ns = nanoseconds(parts->time);
  if (start_ns == 0) start_ns = time_ns;
  constexpr double kNsInMs = 1e6;
  const double ms = static_cast<double>(static_cast<int64_t>(time_ns - start_ns)) / kNsInMs;
  return fmt::format("{:10.3f} {}/{} {}{}({})", ms, parts->comm, parts->tid, kOurs, parts->event,
                     parts->fields);
}

int run_perf(std::span<char* const> words) {
  const std::string_view command = words.size() > 1 ? words[1] : "";
  if (command == "record") return record(words, false);
  if (command == "trace") return record(words, true);
  if (command == "script") return script(words);
  if (command == "list") return list_events(words);
  const bool alone = real_program("perf").empty();
  if (command == "report" && alone) return report_nothing();
  if (command == "--version" && alone) {
    fmt::print("perf version 0 (damonfs: trace events of damon: only)\n");
    return 0;
  }
  return hand_over(words);
}

}  // namespace damonfs
