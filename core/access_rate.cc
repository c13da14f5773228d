#include "core/access_rate.h"

#include <algorithm>

#include "core/base/arithmetic.h"

namespace damonfs {

namespace {

uint32_t rescale_count(uint32_t nr_accesses, const MonitoringAttrs& from,
                       const MonitoringAttrs& to) {
  const uint64_t share_bp = mult_frac(nr_accesses, 10000, from.max_nr_accesses());
  return static_cast<uint32_t>(share_bp * to.max_nr_accesses() / 10000);
}

uint8_t rescale_hits(uint8_t hits, const MonitoringAttrs& from, const MonitoringAttrs& to) {
  return static_cast<uint8_t>(std::min<uint32_t>(rescale_count(hits, from, to), UINT8_MAX));
}

}  // namespace

void rescale_region(Region& region, const MonitoringAttrs& from, const MonitoringAttrs& to,
                    bool aggregating) {
  if (from.sample_us == 0 || from.aggr_us == 0 || to.sample_us == 0 || to.aggr_us == 0) return;
  region.last_nr_accesses = rescale_count(region.last_nr_accesses, from, to);
  region.nr_accesses = aggregating ? 0 : rescale_count(region.nr_accesses, from, to);
  region.unknown = region.unknown && !aggregating;
  for (uint8_t& hits : region.last_probe_hits) hits = rescale_hits(hits, from, to);
  for (uint8_t& hits : region.probe_hits) hits = aggregating ? 0 : rescale_hits(hits, from, to);
  region.age = static_cast<uint32_t>(mult_frac(region.age, from.aggr_us, to.aggr_us));
}

}  // namespace damonfs
