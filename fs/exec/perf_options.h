// The options of perf, as far as `damonfs exec` answers for it.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"

namespace damonfs {

// The prefix of the events that are ours.
constexpr std::string_view kDamonSystem = "damon:";

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

// One option and its value, however they are joined: -o FILE, -oFILE, --output FILE, --output=FILE.
struct PerfOption {
  std::string_view name;
  std::string_view value;
};

// The option at the front of `words`, which it takes off.
[[nodiscard]] PerfOption take_option(std::span<char* const>& words);

// Whether `option`, which takes no value, can be left out of account.
[[nodiscard]] bool harmless(std::string_view option);

}  // namespace damonfs
