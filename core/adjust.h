// Adaptive regions adjustment: regions that look alike are merged and regions are split again at
// random, so that they follow the real borders of access patterns at a bounded cost (design.rst,
// "Adaptive Regions Adjustment"; SeongJae Park et al., "Profiling Dynamic Data Access Patterns with
// Controlled Overhead and Quality", Middleware 2019).
#pragma once

#include <cstdint>

#include "core/context.h"

namespace damonfs {

// The biggest size a region should have, in units of address: the whole monitored size over
// min_nr_regions, so that there are at least about min_nr_regions; not below min_region_sz.
[[nodiscard]] uint64_t region_sz_limit(const Context& context);

// Cuts regions above region_sz_limit() (rounded up to min_region_sz) into pieces of just that size,
// the rest last, and returns it.
uint64_t apply_min_nr_regions(Context& context);

// What regions are compared by: nr_accesses, or the weighted sum of probe hits where probes have
// weights (design.rst, "Data Attributes-only Monitoring").
[[nodiscard]] uint64_t merge_score(const Context& context, const Region& region);

// Ends an aggregation for every region: its age grows by one when its score stayed within
// `threshold` of the last aggregation's and did not change between none and some; it restarts at
// zero otherwise. Then merges neighbours whose scores differ by `threshold` at most, up to
// `sz_limit`; repeats with twice the threshold while there are more than max_nr_regions. Merged
// counts and ages are means weighted by size, rounded down. Regions that sweeps told apart
// (Region::swept) are merged only while there are more than max_nr_regions; the merged region is
// what the hotter of the two was. Linear in regions.
void merge_regions(Context& context, uint64_t threshold, uint64_t sz_limit);

// Splits each region in two at a random tenth of its size (in three while the number of regions
// stands still below a third of max_nr_regions); above half of max_nr_regions only so many that the
// bound holds, taking turns. No part is smaller than min_region_sz, and parts start and end at its
// multiples. A region that the last sweep found not accessed anywhere stays whole unless a sample
// has found an access since: that sweep would have put a border there.
void split_regions(Context& context);

// Starts a new aggregation: counts of accesses and probe hits become those of the last one, and
// begin at zero.
void reset_aggregated(Context& context);

// Joins `right` to `left`, its neighbour below, and returns the region behind.
RegionList::iterator merge_two_regions(Target& target, RegionList::iterator left,
                                       RegionList::iterator right);

}  // namespace damonfs
