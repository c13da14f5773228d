#include "core/filters.h"

#include <algorithm>

#include "core/arithmetic.h"
#include "core/target.h"

namespace damonfs {

namespace {

// Whether the first part of `region` lies within the filter's range; splits the region where the
// answer changes.
bool within(const Filter& filter, Target& target, Region& region, uint64_t min_region_sz) {
  const AddrRange wanted{align_down(filter.addr.start, min_region_sz),
                         align_down(filter.addr.end, min_region_sz)};
  if (!region.range.overlaps(wanted)) return false;
  if (region.range.start < wanted.start) {
    target.split_region(region, wanted.start - region.range.start);
    return false;
  }
  if (region.range.end > wanted.end) {
    target.split_region(region, wanted.end - region.range.start);
  }
  return true;
}

}  // namespace

CoreVerdict ask_core_filters(const Filters& filters, Target& target, int target_idx, Region& region,
                             uint64_t min_region_sz) {
  for (const Filter& filter : filters.core) {
    const bool applies = filter.type == FilterType::target
                             ? filter.target_idx == target_idx
                             : within(filter, target, region, min_region_sz);
    if (applies != filter.matching) continue;
    return filter.allow ? CoreVerdict::allowed : CoreVerdict::rejected;
  }
  return filters.core_default_reject() ? CoreVerdict::rejected : CoreVerdict::pass;
}

}  // namespace damonfs
