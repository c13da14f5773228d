// DAMON_LRU_SORT: moves hot pages to the head and cold ones to the tail of the kernel's lists of
// pages that it reclaims from (Documentation/admin-guide/mm/damon/lru_sort.rst).
#pragma once

#include <cstdint>
#include <memory>

#include "core/base/result.h"
#include "core/context.h"
#include "core/machine.h"
#include "core/scheme.h"
#include "reclaim/physical.h"

namespace damonfs {

// The parameters of damon_lru_sort that users set, and their defaults. A plain value.
struct LruSortParams {
  PhysicalParams physical;
  uint64_t hot_thres_access_freq = 500;    // accesses that make hot, in 1/1,000 of the samples
  uint64_t cold_min_age_us = 120'000'000;  // without access for so long makes memory cold
  ModuleQuota quota;                       // of both schemes together
  uint64_t active_mem_bp = 0;  // active memory to aim for, in 1/10,000 of all on lists; 0: no aim
  bool filter_young_pages = false;
  Watermarks watermarks{WatermarkMetric::free_mem_rate, 5'000'000, 200, 150, 50};
};

// The context that does it: a scheme for hot regions and one for cold ones, half of the quota each.
// The default region is filled in. EINVAL as physical_context(), and for an active_mem_bp above
// 10,000.
[[nodiscard]] Result<std::unique_ptr<Context>> build_context(LruSortParams& params,
                                                             const Machine& machine,
                                                             ContextUse use);

// What it has done; sizes in units of addr_unit.
struct LruSortReport {
  // Of a context that was built as above; on its kdamond's thread.
  [[nodiscard]] static LruSortReport of(const Context& context);

  SchemeStat hot;
  SchemeStat cold;
};

}  // namespace damonfs
