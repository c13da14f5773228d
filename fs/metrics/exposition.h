// Metrics as text.
#pragma once

#include <prometheus/metric_family.h>

#include <string>
#include <string_view>
#include <vector>

namespace damonfs {

// OpenMetrics 1.0, and the older text format of Prometheus, which older scrapers ask for.
enum class Exposition { openmetrics, prometheus };

// The value of the HTTP header Content-Type.
[[nodiscard]] std::string_view content_type(Exposition format);

// The text of `families`, which have counters and gauges only, with names of counters that end in
// _total. Labels are valid UTF-8.
[[nodiscard]] std::string expose(const std::vector<prometheus::MetricFamily>& families,
                                 Exposition format);

}  // namespace damonfs
