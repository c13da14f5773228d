// What a user asks of the monitoring itself: its intervals and its bounds.
#pragma once

#include <cstdint>

#include "core/base/result.h"

namespace damonfs {

// Target of the automatic tuning of intervals: that, within `aggrs` aggregation intervals, the
// share `access_bp` (in 1/10,000) of all accesses that could be seen is seen. Off while aggrs is 0.
struct IntervalsGoal {
  uint64_t access_bp = 0;
  uint64_t aggrs = 0;
  uint64_t min_sample_us = 0;
  uint64_t max_sample_us = 0;
  friend bool operator==(const IntervalsGoal&, const IntervalsGoal&) = default;
};

// Attributes of monitoring; a plain value. Intervals in microseconds.
struct MonitoringAttrs {
  uint64_t sample_us = 5000;
  uint64_t aggr_us = 100000;
  uint64_t update_us = 60000000;
  IntervalsGoal intervals_goal;
  uint64_t min_nr_regions = 10;
  uint64_t max_nr_regions = 1000;

  // Samples taken in one aggregation interval, at least 1: also the largest nr_accesses a region
  // can reach.
  [[nodiscard]] uint32_t max_nr_accesses() const;

  // EINVAL for an intervals goal whose bounds do not hold the sampling interval, fewer than 3
  // regions, min above max, or a sampling interval longer than the aggregation interval; checked in
  // this order.
  [[nodiscard]] Result<void> validate() const;

  friend bool operator==(const MonitoringAttrs&, const MonitoringAttrs&) = default;
};

}  // namespace damonfs
