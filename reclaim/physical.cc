#include "reclaim/physical.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <limits>
#include <span>

#include "core/base/arithmetic.h"

namespace damonfs {

namespace {

// Fills in the default region. EINVAL where it cannot be monitored.
Result<void> settle_region(PhysicalParams& params, const Machine& machine) {
  AddrRange& region = params.region;
  if (region == AddrRange{}) {
    if (!machine.system_ram_span) return fail(EINVAL, "physical memory cannot be watched here");
    const auto ram = machine.system_ram_span();
    if (!ram) return tl::unexpected(ram.error());
    region = {ram->start / params.addr_unit, ram->end / params.addr_unit};
  }
  if (region.start >= region.end) {
    return fail(EINVAL, "monitor_region_end {:#x} is not above monitor_region_start {:#x}",
                region.end, region.start);
  }
  if (region.end > std::numeric_limits<uint64_t>::max() / params.addr_unit) {
    return fail(EINVAL, "monitor_region_end {:#x} is above all addresses, in units of {} bytes",
                region.end, params.addr_unit);
  }
  return {};
}

}  // namespace

Result<MonitoringAttrs> physical_attrs(const PhysicalParams& params) {
  MonitoringAttrs attrs;
  attrs.sample_us = params.sample_us;
  attrs.aggr_us = params.aggr_us;
  attrs.min_nr_regions = params.min_nr_regions;
  attrs.max_nr_regions = params.max_nr_regions;
  if (attrs.sample_us == 0 || attrs.aggr_us == 0) {
    return fail(EINVAL, "sample_interval and aggr_interval must be above 0");
  }
  if (params.autotune_intervals) {
    attrs.sample_us = 5000;
    attrs.aggr_us = 100000;
    attrs.intervals_goal = {
        .access_bp = 40, .aggrs = 3, .min_sample_us = 5000, .max_sample_us = 10'000'000};
  }
  if (auto valid = attrs.validate(); !valid) return tl::unexpected(valid.error());
  return attrs;
}

Result<std::unique_ptr<Context>> physical_context(PhysicalParams& params, const Machine& machine,
                                                  ContextUse use) {
  const auto attrs = physical_attrs(params);
  if (!attrs) return tl::unexpected(attrs.error());
  if (params.addr_unit == 0) return fail(EINVAL, "addr_unit must be above 0");
  if (auto settled = settle_region(params, machine); !settled) {
    return tl::unexpected(settled.error());
  }
  auto made = make_context(machine, OpsId::paddr, use, *attrs, params.addr_unit);
  if (!made) return made;
  Context& context = **made;
  if (!std::has_single_bit(context.min_region_sz)) {
    return fail(EINVAL, "addr_unit {} makes a page {} units, no power of two", params.addr_unit,
                context.min_region_sz);
  }
  context.add_target(nullptr).set_regions(std::span(&params.region, 1), context.min_region_sz);
  return made;
}

AccessPattern physical_pattern(const Context& context, uint32_t min_nr_accesses,
                               uint32_t max_nr_accesses, uint64_t min_age) {
  constexpr uint32_t kAny = std::numeric_limits<uint32_t>::max();
  AccessPattern pattern;
  pattern.min_sz = context.min_region_sz;
  pattern.max_sz = std::numeric_limits<uint64_t>::max();
  pattern.min_nr_accesses = min_nr_accesses;
  pattern.max_nr_accesses = max_nr_accesses;
  pattern.min_age = static_cast<uint32_t>(std::min<uint64_t>(min_age, kAny));
  pattern.max_age = kAny;
  return pattern;
}

uint64_t bytes_of(const Context& context, uint64_t units) {
  return mult_frac(units, context.addr_unit, 1);
}

}  // namespace damonfs
