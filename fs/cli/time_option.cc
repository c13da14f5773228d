#include "fs/cli/time_option.h"

#include <cerrno>
#include <charconv>
#include <cmath>
#include <string>

namespace damonfs {

namespace {

struct TimeUnit {
  std::string_view name;
  double ns;
};

constexpr TimeUnit kTimeUnits[] = {
    {"us", 1e3}, {"ms", 1e6},   {"", 1e9},     {"s", 1e9},
    {"m", 60e9}, {"min", 60e9}, {"h", 3600e9}, {"d", 86400e9},
};

}  // namespace

Result<uint64_t> parse_time_option(std::string_view text) {
  double number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number, std::chars_format::fixed);
  const std::string_view unit(rest, static_cast<size_t>(end - rest));
  for (const TimeUnit& known : kTimeUnits) {
    if (error != std::errc() || unit != known.name || !std::isfinite(number)) continue;
    constexpr double kLongest = 1e18;  // 31 years, in nanoseconds
    const double ns = number * known.ns;
    if (ns < 1) return fail(EINVAL, "'{}' is too short: some time above 0 is wanted", text);
    if (ns > kLongest) return fail(EINVAL, "'{}' is too long", text);
    return static_cast<uint64_t>(std::llround(ns));
  }
  return fail(EINVAL, "'{}' is not a time; write 10s, 500ms, 2min or 1h", text);
}

}  // namespace damonfs
