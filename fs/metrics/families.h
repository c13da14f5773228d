// The metrics by their names (docs/metrics.md).
#pragma once

#include <prometheus/metric_family.h>

#include <vector>

#include "fs/metrics/metrics_sample.h"

namespace damonfs {

// The families of `sample`, in a fixed order; none without a metric. Names of counters end in
// _total. Values of labels are valid UTF-8 of 256 bytes at most, without control characters other
// than newlines.
[[nodiscard]] std::vector<prometheus::MetricFamily> families_of(const MetricsSample& sample);

}  // namespace damonfs
