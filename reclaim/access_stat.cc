#include "reclaim/access_stat.h"

#include <algorithm>
#include <vector>

#include "core/base/arithmetic.h"

namespace damonfs {

namespace {

// A part of memory and for how many aggregations it has been idle, below zero: accessed.
struct Part {
  int64_t idle_aggrs = 0;
  uint64_t bytes = 0;
};

// The aggregation that found it so counts as well, so that none is 0.
int64_t idle_aggrs(const Context& context, const Region& region) {
  const int64_t aggrs = int64_t{region.age} + 1;
  return context.moving_nr_accesses(region) != 0 ? -aggrs : aggrs;
}

std::array<int64_t, 101> percentiles(std::vector<Part> parts, uint64_t aggr_us) {
  std::array<int64_t, 101> idle_ms{};
  std::ranges::sort(parts, {}, &Part::idle_aggrs);
  uint64_t total = 0;
  for (const Part& part : parts) total += part.bytes;
  uint64_t below = 0;
  size_t next = 0;
  for (const Part& part : parts) {
    below += part.bytes;
    const auto aggr = static_cast<int64_t>(aggr_us);
    for (; next < idle_ms.size() && next <= mult_frac(below, 100, total); ++next) {
      idle_ms.at(next) = part.idle_aggrs * aggr / 1000;
    }
  }
  return idle_ms;
}

}  // namespace

Result<std::unique_ptr<Context>> build_context(StatParams& /*params*/, const Machine& machine,
                                               ContextUse use) {
  PhysicalParams params;
  params.autotune_intervals = true;
  auto context = physical_context(params, machine, use);
  if (context) (*context)->attrs.intervals_goal.access_bp = 400;
  return context;
}

StatReport StatReport::of(const Context& context) {
  StatReport report;
  report.aggr_us = context.attrs.aggr_us;
  std::vector<Part> parts;
  uint64_t accessed = 0;  // bytes times samples
  for (const Target& target : context.targets) {
    for (const Region& region : target.regions()) {
      const uint64_t bytes = bytes_of(context, region.range.size());
      accessed += bytes * context.moving_nr_accesses(region);
      parts.push_back({idle_aggrs(context, region), bytes});
    }
  }
  report.bytes_per_second = mult_frac(accessed, 1'000'000, std::max<uint64_t>(report.aggr_us, 1));
  report.idle_ms = percentiles(std::move(parts), report.aggr_us);
  return report;
}

}  // namespace damonfs
