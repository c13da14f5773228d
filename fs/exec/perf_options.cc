#include "fs/exec/perf_options.h"

#include <algorithm>
#include <cerrno>
#include <sstream>

namespace damonfs {

namespace {

// Splits what -e was given at commas.
void add_events(std::string_view list, PerfRecord& record, bool& others) {
  std::istringstream events{std::string(list)};
  for (std::string event; std::getline(events, event, ',');) {
    if (event.starts_with(kDamonSystem)) {
      record.events.push_back(event.substr(kDamonSystem.size()));
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

}  // namespace

PerfOption take_option(std::span<char* const>& words) {
  std::string_view word = words.front();
  words = words.subspan(1);
  PerfOption option{word, {}};
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

Result<std::optional<PerfRecord>> parse_perf_record(std::span<char* const> words) {
  PerfRecord record;
  bool others = false;
  std::string unknown;
  while (!words.empty() && words.front()[0] == '-' && std::string_view(words.front()) != "--") {
    const PerfOption option = take_option(words);
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

}  // namespace damonfs
