#include "ops/procfs/maps.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <string>

#include "core/base/read_whole.h"

namespace damonfs {
namespace {

constexpr uint64_t kKernelHalf = uint64_t{1} << 63;

// Parses "START-END " in front of `line`; false when it is something else.
bool parse_range(std::string_view line, AddrRange& range) {
  const char* end = line.data() + line.size();
  const auto start_part = std::from_chars(line.data(), end, range.start, 16);
  if (start_part.ec != std::errc() || start_part.ptr == end || *start_part.ptr != '-') return false;
  const auto end_part = std::from_chars(start_part.ptr + 1, end, range.end, 16);
  return end_part.ec == std::errc() && end_part.ptr != end && *end_part.ptr == ' ' &&
         range.start < range.end;
}

}  // namespace

Result<std::vector<AddrRange>> parse_maps(std::string_view text) {
  std::vector<AddrRange> mappings;
  uint64_t done_to = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    AddrRange range;
    if (!parse_range(line, range)) return fail(EINVAL, "not a line of maps: '{}'", line);
    range.start = std::max(range.start, done_to);
    if (range.start < range.end && range.start < kKernelHalf) {
      mappings.push_back(range);
      done_to = range.end;
    }
    at = end + 1;
  }
  return mappings;
}

Result<std::vector<AddrRange>> read_maps(const Process& process) {
  Result<Fd> file = process.open_file("maps", O_RDONLY);
  if (!file) return tl::unexpected(file.error());
  Result<std::string> text = read_whole(*file);
  if (!text)
    return fail(text.error().code, "maps of process {}: {}", process.pid(), text.error().message);
  return parse_maps(*text);
}

}  // namespace damonfs
