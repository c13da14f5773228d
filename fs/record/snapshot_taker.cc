#include "fs/record/snapshot_taker.h"

#include "recording/join_regions.h"

namespace damonfs {

namespace {

std::vector<RecordedRegion> recorded(const KdamondRegions::OfTarget& target) {
  std::vector<RecordedRegion> regions;
  regions.reserve(target.regions.size());
  for (const KdamondRegions::OfRegion& region : target.regions) {
    regions.push_back({region.range, region.nr_accesses, region.age, region.swept});
  }
  return regions;
}

}  // namespace

Result<bool> SnapshotTaker::take(FrameBuilder& builder, uint64_t now_us, double now_s) {
  auto regions = read_regions(path_);
  if (!regions) return tl::unexpected(regions.error());
  if (!regions->on) return false;
  head_.backend = regions->backend;
  head_.operations = regions->operations;
  head_.attrs = regions->attrs;
  builder.set_head(head_);
  memories_.set_physical(regions->operations == "paddr");
  if (regions->backend == "synthetic") memories_.set_described(true);
  if (!first_ns_) {
    first_ns_ = regions->time_ns;
    first_us_ = now_us;
  }
  RecordedSnapshot snapshot;
  snapshot.time_us = first_us_ + (regions->time_ns - *first_ns_) / 1000;
  snapshot.nr_aggregations = regions->nr_samples / regions->attrs.max_nr_accesses();
  for (const KdamondRegions::OfTarget& target : regions->targets) {
    const uint32_t id = memories_.update(target, now_s, builder);
    auto found = recorded(target);
    snapshot.targets.push_back({id, exact_ ? std::move(found) : join_alike(found)});
  }
  memories_.forget_ended(builder);
  last_us_ = snapshot.time_us;
  ++nr_snapshots_;
  builder.add(std::move(snapshot));
  return true;
}

}  // namespace damonfs
