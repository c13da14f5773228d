#include "ops/synthetic/pattern.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>

#include "core/base/page_size.h"
#include "core/base/read_whole.h"
#include "ops/synthetic/units.h"

namespace damonfs {
namespace {

std::string page_size_word() { return fmt::format("{}K", uint64_t{kPageSize} / 1024); }

constexpr uint64_t kLongestNs = uint64_t{1} << 62;

// Reads a file line by line. Each function on a keyword gets the words of its line behind it.
class PatternReader {
 public:
  Result<Pattern> read(std::string_view text);

 private:
  using Words = std::vector<std::string_view>;

  Result<void> read_line(const Words& words);
  Result<void> read_clock(const Words& words);
  Result<void> read_seed(const Words& words);
  Result<void> read_memory(const Words& words);
  Result<void> read_process(const Words& words);
  Result<void> read_map(Words words);
  Result<void> read_phase(const Words& words);
  Result<void> read_end(const Words& words);
  Result<void> read_access(const Words& words);
  Result<void> read_absent(const Words& words);
  Result<void> check_process() const;
  Result<size_t> find_mapping(std::string_view name) const;
  Result<void> need_process() const;
  Result<void> need_phase() const;

  PatternProcess& process() { return pattern_.processes.back(); }
  [[nodiscard]] const PatternProcess& process() const { return pattern_.processes.back(); }

  Pattern pattern_;
};

Result<Pattern> PatternReader::read(std::string_view text) {
  size_t number = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    ++number;
    if (auto line = read_line(split_words(text.substr(at, end - at))); !line) {
      return fail(EINVAL, "line {}: {}", number, line.error().message);
    }
    at = end + 1;
  }
  if (pattern_.processes.empty()) return fail(EINVAL, "line {}: no process in it", number);
  if (auto last = check_process(); !last) {
    return fail(EINVAL, "line {}: {}", number, last.error().message);
  }
  return std::move(pattern_);
}

Result<void> PatternReader::read_line(const Words& line) {
  if (line.empty()) return {};
  const std::string_view keyword = line.front();
  const Words words(line.begin() + 1, line.end());
  if (keyword == "clock") return read_clock(words);
  if (keyword == "seed") return read_seed(words);
  if (keyword == "memory") return read_memory(words);
  if (keyword == "process") return read_process(words);
  if (keyword == "map") return need_process().and_then([&] { return read_map(words); });
  if (keyword == "phase") return need_process().and_then([&] { return read_phase(words); });
  if (keyword == "end") return need_process().and_then([&] { return read_end(words); });
  if (keyword == "access") return need_phase().and_then([&] { return read_access(words); });
  if (keyword == "absent") return need_phase().and_then([&] { return read_absent(words); });
  return fail(EINVAL, "'{}' is no keyword", keyword);
}

Result<void> PatternReader::need_process() const {
  if (pattern_.processes.empty()) return fail(EINVAL, "a `process` line must come before it");
  return {};
}

Result<void> PatternReader::need_phase() const {
  if (pattern_.processes.empty() || process().phases.empty()) {
    return fail(EINVAL, "a `phase` line must come before it");
  }
  return {};
}

Result<void> PatternReader::read_clock(const Words& words) {
  if (words.size() != 1 || (words[0] != "real" && words[0] != "virtual")) {
    return fail(EINVAL, "it is `clock real` or `clock virtual`");
  }
  pattern_.virtual_clock = words[0] == "virtual";
  return {};
}

Result<void> PatternReader::read_seed(const Words& words) {
  if (words.size() != 1) return fail(EINVAL, "it is `seed NUMBER`");
  const Result<uint64_t> seed = parse_number(words[0]);
  if (!seed) return tl::unexpected(seed.error());
  pattern_.seed = *seed;
  return {};
}

Result<void> PatternReader::read_memory(const Words& words) {
  if (words.size() != 1) return fail(EINVAL, "it is `memory SIZE`");
  const Result<uint64_t> size = parse_size(words[0]);
  if (!size) return tl::unexpected(size.error());
  if (*size == 0) return fail(EINVAL, "a machine has some memory");
  pattern_.memory = *size;
  return {};
}

Result<void> PatternReader::read_process(const Words& words) {
  if (words.size() != 1) return fail(EINVAL, "it is `process PID` or `process *`");
  if (!pattern_.processes.empty()) {
    if (auto before = check_process(); !before) return before;
  }
  PatternProcess added;
  if (words[0] != "*") {
    const Result<uint64_t> pid = parse_number(words[0]);
    if (!pid) return tl::unexpected(pid.error());
    if (*pid == 0 || *pid > INT32_MAX) return fail(EINVAL, "'{}' is no process id", words[0]);
    added.pid = static_cast<pid_t>(*pid);
  }
  for (const PatternProcess& other : pattern_.processes) {
    if (other.pid == added.pid) return fail(EINVAL, "process {} is there already", words[0]);
  }
  pattern_.processes.push_back(std::move(added));
  return {};
}

// Whether the process read last is complete.
Result<void> PatternReader::check_process() const {
  if (process().phases.empty()) return fail(EINVAL, "the process that ends here has no phase");
  return {};
}

Result<void> PatternReader::read_map(Words words) {
  if (!process().phases.empty()) return fail(EINVAL, "mappings must come before the first phase");
  const bool unknown = words.size() > 3 && words.back() == "unknown";
  if (unknown) words.pop_back();
  const bool file = words.size() > 3 && words.back() == "file";
  if (file) words.pop_back();
  if (words.size() != 3 && !(words.size() == 5 && words[3] == "huge")) {
    return fail(EINVAL,
                "it is `map NAME START SIZE`, then `huge SIZE`, `file`, `unknown`, or some of them "
                "in this order");
  }
  PatternMapping added{
      .name = std::string(words[0]), .range = {}, .file = file, .unknown = unknown};
  const Result<uint64_t> start = parse_size(words[1]);
  const Result<uint64_t> size = parse_size(words[2]);
  const Result<uint64_t> leaf = words.size() == 5 ? parse_size(words[4]) : uint64_t{kPageSize};
  for (const auto* number : {&start, &size, &leaf}) {
    if (!*number) return tl::unexpected(number->error());
  }
  added.leaf_sz = *leaf;
  if (*leaf < kPageSize || (*leaf & (*leaf - 1)) != 0) {
    return fail(EINVAL, "a leaf's size must be a power of two and at least {}", page_size_word());
  }
  if (*size == 0 || *start % *leaf != 0 || *size % *leaf != 0) {
    return fail(EINVAL, "start and size must be multiples of {} and the size not 0",
                words.size() == 5 ? std::string(words[4]) : page_size_word());
  }
  if (*size > INT64_MAX || *start > INT64_MAX - *size) {
    return fail(EINVAL, "the mapping leaves the lower half of the address space");
  }
  added.range = {*start, *start + *size};
  auto& mappings = process().mappings;
  for (const PatternMapping& other : mappings) {
    if (other.name == added.name) return fail(EINVAL, "mapping {} is there already", words[0]);
    if (other.range.overlaps(added.range)) return fail(EINVAL, "it overlaps {}", other.name);
  }
  const auto above = std::find_if(
      mappings.begin(), mappings.end(),
      [&](const PatternMapping& other) { return other.range.start > added.range.start; });
  mappings.insert(above, std::move(added));
  return {};
}

Result<void> PatternReader::read_phase(const Words& words) {
  if (words.size() != 1) return fail(EINVAL, "it is `phase DURATION`");
  const Result<uint64_t> duration = parse_duration_ns(words[0]);
  if (!duration) return tl::unexpected(duration.error());
  if (*duration == 0) return fail(EINVAL, "a phase must last for some time");
  if (*duration > kLongestNs - process().length_ns()) {
    return fail(EINVAL, "the phases last longer than 146 years");
  }
  process().phases.push_back({.duration_ns = *duration, .accesses = {}, .absent = {}});
  return {};
}

Result<void> PatternReader::read_end(const Words& words) {
  if (words.size() == 1 && words[0] == "hold") {
    process().end = PatternEnd::hold;
  } else if (words.size() == 1 && words[0] == "loop") {
    process().end = PatternEnd::loop;
  } else if (words.size() == 1 && words[0] == "exit") {
    process().end = PatternEnd::exit;
  } else {
    return fail(EINVAL, "it is `end hold`, `end loop` or `end exit`");
  }
  return {};
}

Result<size_t> PatternReader::find_mapping(std::string_view name) const {
  const auto& mappings = process().mappings;
  const auto found =
      std::find_if(mappings.begin(), mappings.end(),
                   [&](const PatternMapping& mapping) { return mapping.name == name; });
  if (found == mappings.end()) return fail(EINVAL, "there is no mapping '{}'", name);
  return static_cast<size_t>(found - mappings.begin());
}

Result<void> PatternReader::read_access(const Words& words) {
  if (words.size() != 2 && words.size() != 4) {
    return fail(EINVAL, "it is `access NAME RATE` or `access NAME OFFSET SIZE RATE`");
  }
  const Result<size_t> mapping = find_mapping(words[0]);
  if (!mapping) return tl::unexpected(mapping.error());
  AddrRange range = process().mappings[*mapping].range;
  if (words.size() == 4) {
    const Result<uint64_t> offset = parse_size(words[1]);
    if (!offset) return tl::unexpected(offset.error());
    const Result<uint64_t> size = parse_size(words[2]);
    if (!size) return tl::unexpected(size.error());
    if (*offset % kPageSize != 0 || *size % kPageSize != 0 || *size == 0) {
      return fail(EINVAL, "offset and size must be multiples of {} and the size not 0",
                  page_size_word());
    }
    if (*offset > range.size() || *size > range.size() - *offset) {
      return fail(EINVAL, "the part leaves mapping {}", words[0]);
    }
    range = {range.start + *offset, range.start + *offset + *size};
  }
  const Result<PatternRate> rate = parse_rate(words.back());
  if (!rate) return tl::unexpected(rate.error());
  process().phases.back().accesses.push_back({range, *rate});
  return {};
}

Result<void> PatternReader::read_absent(const Words& words) {
  if (words.size() != 1) return fail(EINVAL, "it is `absent NAME`");
  const Result<size_t> mapping = find_mapping(words[0]);
  if (!mapping) return tl::unexpected(mapping.error());
  process().phases.back().absent.push_back(*mapping);
  return {};
}

}  // namespace

Result<PatternRate> parse_rate(std::string_view word) {
  if (word == "always") return PatternRate{.always = true};
  double number = 0;
  const auto part =
      std::from_chars(word.data(), word.data() + word.size(), number, std::chars_format::fixed);
  if (part.ec == std::errc() && number >= 0 && std::isfinite(number)) {
    const std::string_view unit(part.ptr, word.data() + word.size() - part.ptr);
    if (unit == "/s") return PatternRate{.per_second = number};
    if (unit == "%" && number <= 100) return PatternRate{.per_interval = number / 100};
  }
  return fail(EINVAL, "'{}' is no rate (`always`, as in `200/s`, or as in `5%`)", word);
}

uint64_t PatternProcess::length_ns() const {
  uint64_t sum = 0;
  for (const PatternPhase& phase : phases) sum += phase.duration_ns;
  return sum;
}

uint64_t Pattern::length_ns() const {
  uint64_t longest = 0;
  for (const PatternProcess& process : processes) longest = std::max(longest, process.length_ns());
  return longest;
}

const PatternProcess* Pattern::find(pid_t pid) const {
  const PatternProcess* any = nullptr;
  for (const PatternProcess& process : processes) {
    if (process.pid == pid) return &process;
    if (!process.pid) any = &process;
  }
  return any;
}

Result<Pattern> parse_pattern(std::string_view text) { return PatternReader().read(text); }

Result<Pattern> load_pattern(const std::string& path) {
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return fail(errno, "cannot open {}: {}", path, std::strerror(errno));
  const Result<std::string> text = read_whole(file);
  if (!text) return fail(text.error().code, "{}: {}", path, text.error().message);
  Result<Pattern> pattern = parse_pattern(*text);
  if (!pattern) return fail(pattern.error().code, "{}, {}", path, pattern.error().message);
  return pattern;
}

}  // namespace damonfs
