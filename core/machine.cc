#include "core/machine.h"

#include <algorithm>

#include "core/base/page_size.h"

namespace damonfs {

Result<std::unique_ptr<Context>> make_context(const Machine& machine, OpsId id, ContextUse use,
                                              const MonitoringAttrs& attrs, uint64_t addr_unit) {
  std::unique_ptr<Operations> operations;
  if (use == ContextUse::start) {
    auto made = machine.make_operations(id);
    if (!made) return tl::unexpected(made.error());
    operations = *std::move(made);
  }
  auto context = std::make_unique<Context>(id, std::move(operations), machine.seed);
  context->trace = machine.trace;
  context->sweep_bp = machine.sweep_bp;
  context->addr_unit = addr_unit;
  // Units are of physical addresses only.
  if (id == OpsId::paddr) context->min_region_sz = std::max<uint64_t>(kPageSize / addr_unit, 1);
  context->attrs = attrs;
  context->aggr_samples = context->samples_in(attrs.aggr_us);
  return context;
}

}  // namespace damonfs
