#include "ops/procfs/free_memory.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/arithmetic.h"
#include "core/base/read_whole.h"

namespace damonfs {

namespace {

// The number that `text` begins with, behind blanks. Nothing for "max".
std::optional<uint64_t> number_in(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  uint64_t number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  if (parsed.ec != std::errc()) return std::nullopt;
  return number;
}

// What follows `key` in a line of its own.
std::optional<std::string_view> value_of(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    if (line.starts_with(key)) return line.substr(key.size());
    text.remove_prefix(std::min(line.size() + 1, text.size()));
  }
  return std::nullopt;
}

uint64_t available(const Paths& paths) {
  const auto text = read_whole(paths.proc + "/meminfo");
  if (!text) return UINT64_MAX;
  const auto value = value_of(*text, "MemAvailable:");
  const auto kib = value ? number_in(*value) : std::nullopt;
  return kib ? mult_frac(*kib, 1024, 1) : UINT64_MAX;
}

uint64_t left_in(const std::string& cgroup) {
  const auto max = read_whole(cgroup + "/memory.max");
  const auto current = read_whole(cgroup + "/memory.current");
  if (!max || !current) return UINT64_MAX;
  const auto limit = number_in(*max);
  if (!limit) return UINT64_MAX;
  return *limit - std::min(*limit, number_in(*current).value_or(0));
}

}  // namespace

uint64_t free_memory(const Paths& paths) {
  uint64_t free = available(paths);
  const auto own = read_whole(paths.proc + "/self/cgroup");
  const auto path = own ? value_of(*own, "0::") : std::nullopt;
  if (!path) return free;
  for (std::string cgroup(*path); cgroup.size() > 1; cgroup.resize(cgroup.rfind('/'))) {
    free = std::min(free, left_in(paths.cgroup + cgroup));
  }
  return free;
}

}  // namespace damonfs
