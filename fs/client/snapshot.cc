#include "fs/client/snapshot.h"

#include <nlohmann/json.hpp>

namespace damonfs {

namespace {

// Whether `run`, the hottest so far, is to give way to `other`.
bool hotter(const RegionView& other, const RegionView& run) {
  if (other.nr_accesses != run.nr_accesses) return other.nr_accesses > run.nr_accesses;
  return other.range.size() > run.range.size();
}

}  // namespace

SnapshotSums sums_of(const Snapshot& snapshot) {
  SnapshotSums sums;
  const uint32_t half = (snapshot.attrs.max_nr_accesses() + 1) / 2;
  RegionView run;
  for (const RegionView& region : snapshot.regions) {
    const uint64_t size = region.range.size();
    sums.watched += size;
    if (region.nr_accesses == 0) continue;
    sums.accessed += size;
    if (region.nr_accesses >= half) sums.hot += size;
    if (run.nr_accesses == region.nr_accesses && run.range.end == region.range.start) {
      run.range.end = region.range.end;
      run.age = std::min(run.age, region.age);
    } else {
      run = region;
    }
    if (hotter(run, sums.hottest)) sums.hottest = run;
  }
  return sums;
}

RangeList shown_ranges(const Snapshot& snapshot) {
  RangeList watched;
  for (const RegionView& region : snapshot.regions) append_joined(watched, region.range);
  RangeList shown = join(intersect(watched, snapshot.mapped));
  return shown.empty() ? watched : shown;
}

std::string to_json(const Snapshot& snapshot) {
  nlohmann::ordered_json json;
  json["time"] = snapshot.time;
  json["monotonic"] = snapshot.monotonic;
  json["elapsed"] = snapshot.elapsed;
  json["pid"] = snapshot.pid;
  json["samples_per_aggregation"] = snapshot.attrs.max_nr_accesses();
  json["attrs"] = {{"sample_us", snapshot.attrs.sample_us},
                   {"aggr_us", snapshot.attrs.aggr_us},
                   {"update_us", snapshot.attrs.update_us},
                   {"min_nr_regions", snapshot.attrs.min_nr_regions},
                   {"max_nr_regions", snapshot.attrs.max_nr_regions}};
  json["settled"] = snapshot.trust == Trust::settled;
  json["unknown_bytes"] = snapshot.unknown_bytes;
  auto& regions = json["regions"] = nlohmann::ordered_json::array();
  for (const RegionView& region : snapshot.regions) {
    regions.push_back({{"start", region.range.start},
                       {"end", region.range.end},
                       {"nr_accesses", region.nr_accesses},
                       {"age", region.age}});
    if (region.unknown) regions.back()["unknown"] = true;
  }
  return json.dump();
}

}  // namespace damonfs
