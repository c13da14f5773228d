#include "core/target.h"

#include <algorithm>

#include "core/base/arithmetic.h"

namespace damonfs {

Region& Target::add_region(AddrRange range) { return insert_region(regions_.end(), range); }

Region& Target::insert_region(RegionList::iterator next, AddrRange range) {
  return *regions_.insert(next, *pool_->make(range));
}

RegionList::iterator Target::remove_region(RegionList::iterator region) {
  return regions_.erase_and_dispose(region, [this](Region* r) { pool_->dispose(r); });
}

void Target::clear_regions() {
  regions_.clear_and_dispose([this](Region* r) { pool_->dispose(r); });
}

Region& Target::split_region(Region& region, uint64_t size) {
  const uint64_t middle = region.range.start + size;
  Region& right =
      insert_region(std::next(regions_.iterator_to(region)), {middle, region.range.end});
  region.range.end = middle;
  right.copy_counts(region);
  return right;
}

RegionList::iterator Target::fit_regions(RegionList::iterator first, AddrRange wanted) {
  while (first != regions_.end() && first->range.end <= wanted.start) first = remove_region(first);
  if (first == regions_.end() || first->range.start >= wanted.end) {
    insert_region(first, wanted);
    return first;
  }
  // The outermost known regions stretch to the edges of what is wanted; holes between known ones
  // are filled.
  first->range.start = wanted.start;
  auto last = first;
  for (auto next = std::next(first); next != regions_.end() && next->range.start < wanted.end;
       last = next++) {
    if (last->range.end < next->range.start) {
      insert_region(next, {last->range.end, next->range.start});
    }
  }
  last->range.end = wanted.end;
  return std::next(last);
}

void Target::set_regions(std::span<const AddrRange> ranges, uint64_t min_region_sz) {
  auto rest = regions_.begin();
  uint64_t done_to = 0;
  for (const AddrRange& range : ranges) {
    const AddrRange wanted{std::max(align_down(range.start, min_region_sz), done_to),
                           align_up(range.end, min_region_sz)};
    if (wanted.start >= wanted.end) continue;
    rest = fit_regions(rest, wanted);
    done_to = wanted.end;
  }
  while (rest != regions_.end()) rest = remove_region(rest);
}

}  // namespace damonfs
