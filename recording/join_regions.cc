#include "recording/join_regions.h"

#include <algorithm>
#include <cmath>

namespace damonfs {

namespace {

constexpr uint32_t kAgePart = 8;

// Neighbours that become one region.
struct Run {
  RecordedRegion region;
  uint32_t min_age = 0;
  uint32_t max_age = 0;
  double weighted_age = 0;  // sum over the parts of age and size

  [[nodiscard]] bool takes(const RecordedRegion& next) const {
    const uint32_t max = std::max(max_age, next.age);
    const uint32_t min = std::min(min_age, next.age);
    return region.range.end == next.range.start && region.nr_accesses == next.nr_accesses &&
           region.swept == next.swept && max - min <= max / kAgePart;
  }
  void add(const RecordedRegion& next) {
    region.range.end = next.range.end;
    min_age = std::min(min_age, next.age);
    max_age = std::max(max_age, next.age);
    weighted_age += static_cast<double>(next.age) * static_cast<double>(next.range.size());
  }
  [[nodiscard]] RecordedRegion joined() const {
    RecordedRegion all = region;
    all.age =
        static_cast<uint32_t>(std::lround(weighted_age / static_cast<double>(region.range.size())));
    return all;
  }
};

Run run_of(const RecordedRegion& region) {
  Run run{region, region.age, region.age, 0};
  run.weighted_age = static_cast<double>(region.age) * static_cast<double>(region.range.size());
  return run;
}

}  // namespace

std::vector<RecordedRegion> join_alike(const std::vector<RecordedRegion>& regions) {
  std::vector<RecordedRegion> joined;
  if (regions.empty()) return joined;
  Run run = run_of(regions.front());
  for (size_t i = 1; i < regions.size(); ++i) {
    if (run.takes(regions[i])) {
      run.add(regions[i]);
    } else {
      joined.push_back(run.joined());
      run = run_of(regions[i]);
    }
  }
  joined.push_back(run.joined());
  return joined;
}

}  // namespace damonfs
