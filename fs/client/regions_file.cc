#include "fs/client/regions_file.h"

#include <array>
#include <cerrno>
#include <charconv>
#include <optional>

#include "core/base/arithmetic.h"
#include "core/base/read_whole.h"

namespace damonfs {

namespace {

// Takes the text before the next `end` off `rest`; all of it when there is none.
std::string_view take(std::string_view& rest, char end) {
  const size_t at = rest.find(end);
  const std::string_view taken = rest.substr(0, at);
  rest.remove_prefix(at == std::string_view::npos ? rest.size() : at + 1);
  return taken;
}

template <class T>
bool to_number(std::string_view word, T& number) {
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  return error == std::errc() && end == word.data() + word.size();
}

std::optional<SweptState> swept_of(std::string_view word) {
  if (word == "never") return SweptState::never;
  if (word == "no") return SweptState::not_accessed;
  if (word == "unknown") return SweptState::unknown;
  if (word == "yes") return SweptState::accessed;
  return std::nullopt;
}

struct Head {
  KdamondRegions& regions;
  uint64_t addr_unit = 1;
  uint64_t schema = 0;

  // What is not known is passed over: newer daemons say more.
  bool set(std::string_view name, std::string_view value) {
    MonitoringAttrs& attrs = regions.attrs;
    if (name == "state") regions.on = value == "on";
    if (name == "backend") regions.backend = value;
    if (name == "operations") regions.operations = value;
    const std::array<std::pair<std::string_view, uint64_t*>, 9> numbers = {
        {{"schema", &schema},
         {"addr_unit", &addr_unit},
         {"sample_us", &attrs.sample_us},
         {"aggr_us", &attrs.aggr_us},
         {"update_us", &attrs.update_us},
         {"min_nr_regions", &attrs.min_nr_regions},
         {"max_nr_regions", &attrs.max_nr_regions},
         {"nr_samples", &regions.nr_samples},
         {"time_ns", &regions.time_ns}}};
    for (const auto& [known, number] : numbers) {
      if (name == known) return to_number(value, *number);
    }
    return true;
  }
};

bool parse_line(std::string_view line, uint64_t addr_unit, KdamondRegions& regions) {
  uint32_t target = 0;
  int pid = 0;
  KdamondRegions::OfRegion region;
  const bool numbers = to_number(take(line, ' '), target) && to_number(take(line, ' '), pid) &&
                       to_number(take(line, ' '), region.range.start) &&
                       to_number(take(line, ' '), region.range.end) &&
                       to_number(take(line, ' '), region.nr_accesses) &&
                       to_number(take(line, ' '), region.age);
  if (!numbers || region.range.start >= region.range.end) return false;
  take(line, ' ');  // schemes
  const auto swept = swept_of(take(line, ' '));
  if (!swept) return false;
  region.swept = *swept;
  region.range.start = mult_frac(region.range.start, addr_unit, 1);
  region.range.end = mult_frac(region.range.end, addr_unit, 1);
  if (region.range.size() == 0) return true;  // beyond all memory
  auto& targets = regions.targets;
  if (targets.empty() || targets.back().number != target) targets.push_back({target, pid, {}});
  auto& of_target = targets.back().regions;
  if (!of_target.empty() && region.range.start < of_target.back().range.end) return false;
  of_target.push_back(region);
  return true;
}

}  // namespace

Result<KdamondRegions> parse_regions(std::string_view text) {
  KdamondRegions regions;
  Head head{regions};
  std::string_view first = take(text, '\n');
  if (take(first, ' ') != "#") return fail(EPROTO, "there is no first line");
  while (!first.empty()) {
    std::string_view word = take(first, ' ');
    const std::string_view name = take(word, '=');
    if (!head.set(name, word)) return fail(EPROTO, "{} is \"{}\"", name, word);
  }
  if (head.schema != 1) return fail(EPROTO, "the schema is {}, not 1", head.schema);
  if (head.addr_unit == 0) return fail(EPROTO, "addresses are in units of 0");
  while (!text.empty()) {
    const std::string_view line = take(text, '\n');
    if (line.starts_with('#')) continue;
    if (!parse_line(line, head.addr_unit, regions)) {
      return fail(EPROTO, "\"{}\" is no region", line);
    }
  }
  return regions;
}

Result<KdamondRegions> read_regions(const std::string& path) {
  const auto text = read_whole(path);
  if (!text) return tl::unexpected(text.error());
  auto regions = parse_regions(*text);
  if (!regions) return fail(EPROTO, "{}: {}", path, regions.error().message);
  return regions;
}

}  // namespace damonfs
