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
#include "fs/exec/perf_options.h"
#include "fs/exec/perf_recording.h"
#include "fs/exec/real_program.h"
#include "fs/exec/trace_line.h"
#include "fs/mount/sys_view.h"
#include "fs/tracing/trace_format.h"

namespace damonfs {

namespace {

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
    const PerfOption option = take_option(rest);
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
    const std::string name = std::string(kDamonSystem) + std::string(event.name);
    const std::string_view wanted = filtered ? words.back() : "*";
    const bool shown = wanted == "tracepoint" || ::fnmatch(wanted.data(), name.c_str(), 0) == 0;
    if (shown) fmt::print("  {:<50} [Tracepoint event]\n", name);
  }
  return 0;
}

// Without a perf no profile was recorded: the report of one says so and is no failure, for `damo
// report holistic` gives up on one. Of what perf prints that shows the sixth line and those after.
int report_nothing() {
  constexpr std::string_view kHeader = "#\n#\n#\n#\n#\n";  // as long as perf's own
  fmt::print("{}# this machine has no perf: no profile of functions\n", kHeader);
  return 0;
}

}  // namespace

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
