#include "fs/client/row_peak.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace damonfs {

namespace {

// Adds `region` behind the others, joined to the last one where they say the same.
void append(std::vector<RegionView>& regions, const RegionView& region) {
  if (region.range.size() == 0) return;
  if (!regions.empty()) {
    RegionView& last = regions.back();
    if (last.range.end == region.range.start && last.nr_accesses == region.nr_accesses &&
        last.age == region.age && last.unknown == region.unknown) {
      last.range.end = region.range.end;
      return;
    }
  }
  regions.push_back(region);
}

// `now` with the counts of `before` where those are larger.
std::vector<RegionView> largest(const std::vector<RegionView>& now,
                                const std::vector<RegionView>& before) {
  std::vector<RegionView> result;
  auto old = before.begin();
  for (const RegionView& region : now) {
    while (old != before.end() && old->range.end <= region.range.start) ++old;
    uint64_t done = region.range.start;
    for (auto next = old; next != before.end() && next->range.start < region.range.end; ++next) {
      if (next->nr_accesses <= region.nr_accesses) continue;
      RegionView part = region;
      part.range = {done, std::max(next->range.start, region.range.start)};
      append(result, part);
      part.range = {part.range.end, std::min(next->range.end, region.range.end)};
      part.nr_accesses = next->nr_accesses;
      append(result, part);
      done = part.range.end;
    }
    RegionView rest = region;
    rest.range.start = done;
    append(result, rest);
  }
  return result;
}

}  // namespace

void RowPeak::add(const Snapshot& snapshot) {
  if (!peak_ || peak_->attrs.max_nr_accesses() != snapshot.attrs.max_nr_accesses()) {
    peak_ = snapshot;
    return;
  }
  std::vector<RegionView> regions = largest(snapshot.regions, peak_->regions);
  peak_ = snapshot;
  peak_->regions = std::move(regions);
}

Snapshot RowPeak::take() { return *std::exchange(peak_, std::nullopt); }

}  // namespace damonfs
