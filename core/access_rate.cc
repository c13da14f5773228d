#include "core/access_rate.h"

#include "core/arithmetic.h"

namespace damonfs {

namespace {

uint32_t rescale_count(uint32_t nr_accesses, const MonitoringAttrs& from,
                       const MonitoringAttrs& to) {
  const uint64_t share_bp = mult_frac(nr_accesses, 10000, from.max_nr_accesses());
  return static_cast<uint32_t>(share_bp * to.max_nr_accesses() / 10000);
}

}  // namespace

void rescale_region(Region& region, const MonitoringAttrs& from, const MonitoringAttrs& to,
                    bool aggregating) {
  if (from.sample_us == 0 || from.aggr_us == 0 || to.sample_us == 0 || to.aggr_us == 0) return;
  region.last_nr_accesses = rescale_count(region.last_nr_accesses, from, to);
  region.nr_accesses = aggregating ? 0 : rescale_count(region.nr_accesses, from, to);
  region.age = static_cast<uint32_t>(mult_frac(region.age, from.aggr_us, to.aggr_us));
}

}  // namespace damonfs
