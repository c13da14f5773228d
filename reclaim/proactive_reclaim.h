// DAMON_RECLAIM: pages out memory that nobody has accessed for long, before memory gets short
// (Documentation/admin-guide/mm/damon/reclaim.rst).
#pragma once

#include <cstdint>
#include <memory>

#include "core/base/result.h"
#include "core/context.h"
#include "core/machine.h"
#include "core/scheme.h"
#include "reclaim/physical.h"

namespace damonfs {

// The parameters of damon_reclaim that users set, and their defaults. A plain value.
struct ReclaimParams {
  PhysicalParams physical;
  uint64_t min_age_us = 120'000'000;  // without access for so long makes memory cold
  ModuleQuota quota{.bytes = uint64_t{128} << 20};
  uint64_t quota_mem_pressure_us = 0;  // waiting for memory to aim for a window; 0: no aim
  uint64_t quota_autotune_feedback =
      0;  // what the user makes of it, 10,000 being right; 0: nothing
  Watermarks watermarks{WatermarkMetric::free_mem_rate, 5'000'000, 500, 400, 200};
  bool skip_anon = false;
};

// The context that does it: one scheme, which pages out regions that were not accessed for
// min_age_us, the oldest first where the quota is short. The default region is filled in. EINVAL
// and others as physical_context().
[[nodiscard]] Result<std::unique_ptr<Context>> build_context(ReclaimParams& params,
                                                             const Machine& machine,
                                                             ContextUse use);

// What it has done; sizes in units of addr_unit.
struct ReclaimReport {
  // Of a context that was built as above; on its kdamond's thread.
  [[nodiscard]] static ReclaimReport of(const Context& context);

  SchemeStat cold;
};

}  // namespace damonfs
