#include "ops/vaddr/three_regions.h"

#include <cerrno>
#include <utility>

namespace damonfs {

Result<std::array<AddrRange, 3>> find_three_regions(std::span<const AddrRange> mappings) {
  AddrRange biggest;
  AddrRange second;
  for (size_t i = 1; i < mappings.size(); ++i) {
    const AddrRange gap{mappings[i - 1].end, mappings[i].start};
    if (gap.size() > biggest.size()) {
      second = std::exchange(biggest, gap);
    } else if (gap.size() > second.size()) {
      second = gap;
    }
  }
  if (second.size() == 0) {
    return fail(EINVAL, "{} mappings have fewer than two gaps between them", mappings.size());
  }
  if (second.start < biggest.start) std::swap(biggest, second);
  return std::array<AddrRange, 3>{{{mappings.front().start, biggest.start},
                                   {biggest.end, second.start},
                                   {second.end, mappings.back().end}}};
}

}  // namespace damonfs
