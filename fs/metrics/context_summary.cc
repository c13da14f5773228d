#include "fs/metrics/context_summary.h"

#include "fs/metrics/idle_age.h"

namespace damonfs {

namespace {

AgedRange aged_range(const Context& context, const Region& region) {
  AgedRange aged;
  aged.range = {region.range.start * context.addr_unit, region.range.end * context.addr_unit};
  aged.accessed = context.moving_nr_accesses(region) > 0 || region.swept == SweptState::accessed;
  if (aged.accessed) return aged;
  aged.age = region.swept == SweptState::unknown ? kUnknownAge
                                                 : idle_step(region.age * context.attrs.aggr_us);
  return aged;
}

void append_aged(std::vector<AgedRange>& ranges, const AgedRange& next) {
  if (!ranges.empty()) {
    AgedRange& last = ranges.back();
    const bool alike = last.age == next.age && last.accessed == next.accessed;
    if (alike && last.range.end == next.range.start) {
      last.range.end = next.range.end;
      return;
    }
  }
  ranges.push_back(next);
}

SchemeStat in_bytes(SchemeStat stat, uint64_t unit) {
  stat.sz_tried *= unit;
  stat.sz_applied *= unit;
  stat.sz_ops_filter_passed *= unit;
  return stat;
}

}  // namespace

ContextSummary ContextSummary::of(const Context& context) {
  ContextSummary summary;
  summary.operations = context.ops_id;
  summary.sample_us = context.attrs.sample_us;
  summary.aggr_us = context.attrs.aggr_us;
  summary.nr_regions = context.nr_regions();
  summary.timing = context.timing;
  for (const Target& target : context.targets) {
    OfTarget& taken = summary.targets.emplace_back();
    taken.handle = target.handle;
    for (const Region& region : target.regions()) {
      append_aged(taken.ranges, aged_range(context, region));
    }
  }
  for (const Scheme& scheme : context.schemes) {
    summary.schemes.push_back({scheme.params.action, scheme.active,
                               scheme.quota.limited() ? scheme.quota.esz() * context.addr_unit : 0,
                               in_bytes(scheme.stat, context.addr_unit)});
  }
  return summary;
}

}  // namespace damonfs
