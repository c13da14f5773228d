#include "ops/vaddr/sparse_regions.h"

#include <algorithm>

namespace damonfs {
namespace {

constexpr uint64_t kRoom = uint64_t{64} << 20;

}  // namespace

RangeList find_sparse_regions(std::span<const AddrRange> mappings,
                              std::span<const AddrRange> populated, size_t max_ranges) {
  RangeList roomy;
  for (const AddrRange& range : populated) {
    const uint64_t start = range.start - std::min(range.start, kRoom);
    const uint64_t end = range.end + std::min(kRoom, UINT64_MAX - range.end);
    append_merged(roomy, {start, end});
  }
  RangeList regions = join(intersect(mappings, roomy));
  for (uint64_t gap = kRoom; regions.size() > max_ranges; gap *= 2) regions = join(regions, gap);
  return regions;
}

}  // namespace damonfs
