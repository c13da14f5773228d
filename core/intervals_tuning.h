// Automatic tuning of the sampling and aggregation intervals (design.rst, "Monitoring Intervals
// Auto-tuning").
#pragma once

#include "core/context.h"

namespace damonfs {

// Compares the accesses that the finished aggregation saw with the goal's share of all that it
// could have seen, and lengthens or shortens both intervals by the feedback loop: by at most 2 up
// and 1/2 down at a time, the sampling interval within the goal's bounds, the number of samples an
// aggregation unchanged. Called at an aggregation's end, with a goal that is on.
void tune_intervals(Context& context);

}  // namespace damonfs
