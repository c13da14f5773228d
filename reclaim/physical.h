// What the modules have in common: monitoring of physical memory as a few parameters say.
#pragma once

#include <cstdint>
#include <memory>

#include "core/attrs.h"
#include "core/base/result.h"
#include "core/context.h"
#include "core/machine.h"
#include "core/region.h"
#include "core/scheme.h"
#include "core/watermarks.h"

namespace damonfs {

// A plain value, with the defaults that reclaim and LRU sort share. Intervals in microseconds.
struct PhysicalParams {
  uint64_t sample_us = 5000;
  uint64_t aggr_us = 100000;
  bool autotune_intervals = false;
  uint64_t min_nr_regions = 10;
  uint64_t max_nr_regions = 1000;
  uint64_t addr_unit = 1;
  AddrRange region;  // in units of addr_unit; 0-0: all System RAM
};

// What a user says of a module's quota, goals aside. A plain value.
struct ModuleQuota {
  uint64_t ms = 10;
  uint64_t bytes = 0;  // in units of addr_unit
  uint64_t reset_interval_ms = 1000;
};

// The attributes that the parameters stand for. Where intervals are tuned they begin with 5 ms and
// 100 ms and lead to 0.4% of the accesses that could be seen within three aggregations, sampling
// every 5 ms to 10 s (lru_sort.rst; mainline's share). EINVAL for attributes that are not valid,
// also for intervals of 0.
[[nodiscard]] Result<MonitoringAttrs> physical_attrs(const PhysicalParams& params);

// A context without schemes that monitors params.region. Where that is 0-0 it becomes the span of
// all System RAM, the holes included, so that users can read it. EINVAL for attributes as above, an
// addr_unit that is 0 or makes the smallest region (a page) no power of two in its units, and a
// region that ends where it starts or before; else what `machine` says.
[[nodiscard]] Result<std::unique_ptr<Context>> physical_context(PhysicalParams& params,
                                                                const Machine& machine,
                                                                ContextUse use);

// The regions of any size that were accessed within [min, max] samples for `min_age` aggregations
// or longer, in a context as above.
[[nodiscard]] AccessPattern physical_pattern(const Context& context, uint32_t min_nr_accesses,
                                             uint32_t max_nr_accesses, uint64_t min_age);

// Bytes that `units` of address stand for; UINT64_MAX where they are too many.
[[nodiscard]] uint64_t bytes_of(const Context& context, uint64_t units);

}  // namespace damonfs
