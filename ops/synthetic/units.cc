#include "ops/synthetic/units.h"

#include <cerrno>
#include <charconv>
#include <span>

namespace damonfs {
namespace {

struct Unit {
  std::string_view name;
  uint64_t factor;
};

// A number and the unit behind it, as a multiple of the unit's factor.
Result<uint64_t> parse_with_unit(std::string_view word, std::span<const Unit> units,
                                 std::string_view what) {
  const bool hex = word.starts_with("0x") || word.starts_with("0X");
  const std::string_view digits = word.substr(hex ? 2 : 0);
  uint64_t number = 0;
  const auto part =
      std::from_chars(digits.data(), digits.data() + digits.size(), number, hex ? 16 : 10);
  if (part.ec == std::errc::result_out_of_range) return fail(EINVAL, "'{}' is too big", word);
  if (part.ec == std::errc()) {
    const std::string_view rest(part.ptr, digits.data() + digits.size() - part.ptr);
    for (const Unit& unit : units) {
      if (unit.name != rest) continue;
      if (number > UINT64_MAX / unit.factor) return fail(EINVAL, "'{}' is too big", word);
      return number * unit.factor;
    }
  }
  return fail(EINVAL, "'{}' is no {}", word, what);
}

}  // namespace

std::vector<std::string_view> split_words(std::string_view line) {
  constexpr std::string_view kBlanks = " \t\r";
  line = line.substr(0, line.find('#'));
  std::vector<std::string_view> words;
  for (;;) {
    const size_t start = line.find_first_not_of(kBlanks);
    if (start == std::string_view::npos) return words;
    line.remove_prefix(start);
    words.push_back(line.substr(0, line.find_first_of(kBlanks)));
    line.remove_prefix(words.back().size());
  }
}

Result<uint64_t> parse_number(std::string_view word) {
  static constexpr Unit kUnits[] = {{"", 1}};
  return parse_with_unit(word, kUnits, "number");
}

Result<uint64_t> parse_size(std::string_view word) {
  static constexpr Unit kUnits[] = {{"", 1},
                                    {"K", uint64_t{1} << 10},
                                    {"M", uint64_t{1} << 20},
                                    {"G", uint64_t{1} << 30},
                                    {"T", uint64_t{1} << 40}};
  return parse_with_unit(word, kUnits, "size (bytes, or with K, M, G or T)");
}

Result<uint64_t> parse_duration_ns(std::string_view word) {
  static constexpr Unit kUnits[] = {
      {"us", 1000}, {"ms", 1000000}, {"s", 1000000000}, {"min", 60000000000}, {"h", 3600000000000}};
  return parse_with_unit(word, kUnits, "duration (a number with us, ms, s, min or h)");
}

}  // namespace damonfs
