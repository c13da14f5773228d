// Watermarks: when a scheme rests because memory is plenty, or because it is so short that it is no
// help (design.rst, "Watermarks").
#pragma once

#include <cstdint>

#include "core/metrics.h"

namespace damonfs {

enum class WatermarkMetric { none, free_mem_rate };

// A plain value; levels in 1/1,000, interval in microseconds.
struct Watermarks {
  WatermarkMetric metric = WatermarkMetric::none;
  uint64_t interval_us = 0;
  uint64_t high = 0;
  uint64_t mid = 0;
  uint64_t low = 0;
  friend bool operator==(const Watermarks&, const Watermarks&) = default;
};

// Whether a scheme that is (`active`) or is not active shall be so now: it rests above high and
// below low, wakes between low and mid, and in between mid and high goes on as it is. Always active
// without a metric.
[[nodiscard]] inline bool watermarks_active(const Watermarks& marks, bool active,
                                            Metrics* metrics) {
  if (marks.metric == WatermarkMetric::none || metrics == nullptr) return true;
  const uint64_t value = metrics->free_mem_permille();
  if (value > marks.high || value < marks.low) return false;
  return value < marks.mid || active;
}

}  // namespace damonfs
