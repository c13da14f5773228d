#include "ops/procfs/iomem.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <string>

#include "core/base/read_whole.h"

namespace damonfs {
namespace {

// One line: "START-END : NAME", both inclusive and hexadecimal.
struct Resource {
  uint64_t first = 0;
  uint64_t last = 0;
  std::string_view name;
};

bool parse_resource(std::string_view line, Resource& resource) {
  const char* const end = line.data() + line.size();
  const auto first = std::from_chars(line.data(), end, resource.first, 16);
  if (first.ec != std::errc() || first.ptr == end || *first.ptr != '-') return false;
  const auto last = std::from_chars(first.ptr + 1, end, resource.last, 16);
  if (last.ec != std::errc() || resource.last < resource.first || resource.last == UINT64_MAX) {
    return false;
  }
  constexpr std::string_view kBetween = " : ";
  const std::string_view rest(last.ptr, static_cast<size_t>(end - last.ptr));
  if (!rest.starts_with(kBetween)) return false;
  resource.name = rest.substr(kBetween.size());
  return true;
}

}  // namespace

Result<RangeList> parse_iomem(std::string_view text) {
  RangeList ram;
  bool any_ram = false;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = text.substr(at, end - at);
    at = end + 1;
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    Resource resource;
    if (!parse_resource(line, resource)) return fail(EINVAL, "not a line of iomem: '{}'", line);
    if (resource.name != "System RAM" && !resource.name.starts_with("System RAM (")) continue;
    any_ram = true;
    // Within RAM there is no other RAM; what changed while it was read may come twice.
    const bool behind = ram.empty() || ram.back().end <= resource.first;
    if (resource.last != 0 && behind) ram.push_back({resource.first, resource.last + 1});
  }
  if (!any_ram) return fail(ENOENT, "iomem names no System RAM");
  if (ram.empty()) {
    return fail(EPERM, "iomem hides physical addresses from who has not CAP_SYS_ADMIN");
  }
  return ram;
}

Result<RangeList> system_ram(const Paths& paths) {
  return read_whole(paths.proc + "/iomem").and_then([](const std::string& text) {
    return parse_iomem(text);
  });
}

Result<AddrRange> system_ram_span(const Paths& paths) {
  return system_ram(paths).map([](const RangeList& ram) {
    return AddrRange{ram.front().start, ram.back().end};
  });
}

}  // namespace damonfs
