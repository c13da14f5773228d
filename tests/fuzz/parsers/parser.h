// A parser that is fed by libFuzzer.
#pragma once

#include <span>
#include <string_view>

namespace damonfs::fuzz {

// A plain value. `feed` ends the process where a result breaks what the parser's header says.
struct Parser {
  std::string_view name;
  void (*feed)(std::string_view text);
};

// All there are; each file of this folder has those of one room.
[[nodiscard]] std::span<const Parser> ops_parsers();
[[nodiscard]] std::span<const Parser> services_parsers();
[[nodiscard]] std::span<const Parser> recording_parsers();
[[nodiscard]] std::span<const Parser> command_parsers();
[[nodiscard]] std::span<const Parser> fs_parsers();

// Ends the process, which libFuzzer takes for a find, unless `true_one` is.
inline void must(bool true_one) {
  if (!true_one) __builtin_trap();
}

// Ascending, not overlapping, none empty; `range_of` gives the range of one.
template <class List, class RangeOf>
void must_ascend(const List& list, const RangeOf& range_of) {
  uint64_t end = 0;
  for (const auto& each : list) {
    const auto range = range_of(each);
    must(range.start < range.end && range.start >= end);
    end = range.end;
  }
}

}  // namespace damonfs::fuzz
