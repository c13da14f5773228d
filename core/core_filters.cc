#include "core/core_filters.h"

#include <algorithm>

#include "core/base/arithmetic.h"
#include "core/context.h"
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

bool applies_to(const Filter& filter, const Context& context, Target& target, int target_idx,
                Region& region) {
  if (filter.type == FilterType::target) return filter.target_idx == target_idx;
  if (filter.type == FilterType::addr) return within(filter, target, region, context.min_region_sz);
  return filter.in_bounds(context.moving_probe_hits_wsum(region));
}

}  // namespace

CoreVerdict ask_core_filters(const Filters& filters, const Context& context, Target& target,
                             int target_idx, Region& region) {
  for (const Filter& filter : filters.core) {
    const bool applies = applies_to(filter, context, target, target_idx, region);
    if (applies != filter.matching) continue;
    return filter.allow ? CoreVerdict::allowed : CoreVerdict::rejected;
  }
  return filters.core_default_reject() ? CoreVerdict::rejected : CoreVerdict::pass;
}

}  // namespace damonfs
