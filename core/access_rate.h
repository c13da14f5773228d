// Carrying how often a region is accessed over to new intervals (mm/damon's
// damon_update_monitoring_results in its observable rule, rounding included).
#pragma once

#include "core/attrs.h"
#include "core/region.h"

namespace damonfs {

// Rescales counts and age of `region` from the intervals of `from` to those of `to`, so that they
// mean the same share of samples and the same time. In the middle of an aggregation (`aggregating`)
// what it has counted so far is dropped: it starts anew. Nothing changes when an interval is 0.
void rescale_region(Region& region, const MonitoringAttrs& from, const MonitoringAttrs& to,
                    bool aggregating);

}  // namespace damonfs
