#include "core/attrs.h"

#include <algorithm>

namespace damonfs {

uint32_t MonitoringAttrs::max_nr_accesses() const {
  const uint64_t samples = aggr_us / std::max<uint64_t>(sample_us, 1);
  return static_cast<uint32_t>(std::clamp<uint64_t>(samples, 1, UINT32_MAX));
}

Result<void> MonitoringAttrs::validate() const {
  if (intervals_goal.aggrs != 0) {
    const auto& [access_bp, aggrs, low, high] = intervals_goal;
    if (low > high) {
      return fail(EINVAL, "intervals goal: min_sample_us {} is above max_sample_us {}", low, high);
    }
    if (sample_us < low || sample_us > high) {
      return fail(EINVAL, "sampling interval {} us is outside the intervals goal's {} to {} us",
                  sample_us, low, high);
    }
  }
  if (min_nr_regions < 3) {
    return fail(EINVAL, "nr_regions/min {} is below 3", min_nr_regions);
  }
  if (min_nr_regions > max_nr_regions) {
    return fail(EINVAL, "nr_regions/min {} is above max {}", min_nr_regions, max_nr_regions);
  }
  if (sample_us > aggr_us) {
    return fail(EINVAL, "sampling interval {} us is longer than aggregation interval {} us",
                sample_us, aggr_us);
  }
  return {};
}

}  // namespace damonfs
