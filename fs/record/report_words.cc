#include "fs/record/report_words.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <array>
#include <ctime>

namespace damonfs {

std::string utc_time(uint64_t time_us) {
  const auto seconds = static_cast<std::time_t>(time_us / 1000000);
  return fmt::format("{:%Y-%m-%d %H:%M:%S} UTC", fmt::gmtime(seconds));
}

std::string short_size(uint64_t bytes) {
  if (bytes < 1000) return std::to_string(bytes);
  constexpr std::array<char, 6> kUnits = {'K', 'M', 'G', 'T', 'P', 'E'};
  auto value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  while (value >= 999.5 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  if (value < 9.95) return fmt::format("{:.1f}{}", value, kUnits[unit]);
  return fmt::format("{:.0f}{}", value, kUnits[unit]);
}

std::string short_time(uint64_t us) {
  constexpr uint64_t kSecond = 1000000;
  if (us % kSecond != 0) return fmt::format("{}ms", us / 1000);
  const uint64_t seconds = us / kSecond;
  if (seconds != 0 && seconds % 3600 == 0) return fmt::format("{}h", seconds / 3600);
  if (seconds != 0 && seconds % 60 == 0) return fmt::format("{}min", seconds / 60);
  return fmt::format("{}s", seconds);
}

}  // namespace damonfs
