// Making snapshots small: regions that differ by chance only are recorded as one.
#pragma once

#include <vector>

#include "recording/frame.h"

namespace damonfs {

// `regions` with neighbours joined where they touch, were accessed as often, say the same of
// sweeps, and have ages that differ by an eighth of the larger one at most. The age of a joined
// region is the mean by size. DAMON splits regions at random in every aggregation interval; most of
// these halves become one again here.
[[nodiscard]] std::vector<RecordedRegion> join_alike(const std::vector<RecordedRegion>& regions);

}  // namespace damonfs
