#include "core/damos.h"

#include <algorithm>
#include <limits>

#include "core/adjust.h"
#include "core/scheme_applier.h"

namespace damonfs {

namespace {

bool due(const Context& context, const Scheme& scheme) {
  return context.schedule.passed >= scheme.next_apply;
}

bool alike(const Region& left, const Region& right) {
  return left.range.end == right.range.start && left.age == right.age &&
         left.last_nr_accesses == right.last_nr_accesses && left.nr_accesses == right.nr_accesses &&
         left.last_probe_hits == right.last_probe_hits && left.probe_hits == right.probe_hits &&
         left.swept == right.swept && left.unknown == right.unknown &&
         left.last_unknown == right.last_unknown;
}

// Joins again what quotas and filters cut.
void rejoin_regions(Target& target, uint64_t sz_limit) {
  for (auto region = target.regions().begin(); region != target.regions().end();) {
    if (region != target.regions().begin() && alike(*std::prev(region), *region) &&
        std::prev(region)->range.size() + region->range.size() <= sz_limit) {
      region = merge_two_regions(target, std::prev(region), region);
    } else {
      ++region;
    }
  }
}

}  // namespace

void apply_schemes(Context& context, const Clock& clock, const RequestQueue::Walking& walk) {
  const auto has_work = [&](const Scheme& scheme) { return due(context, scheme) && scheme.active; };
  if (std::none_of(context.schemes.begin(), context.schemes.end(), has_work)) return;
  const uint64_t sz_limit = region_sz_limit(context);
  uint32_t scheme_idx = 0;
  for (Scheme& scheme : context.schemes) {
    if (has_work(scheme)) SchemeApplier(context, clock, scheme, scheme_idx, walk).run();
    ++scheme_idx;
  }
  for (Target& target : context.targets) rejoin_regions(target, sz_limit);
  scheme_idx = 0;
  for (Scheme& scheme : context.schemes) {
    const uint32_t idx = scheme_idx++;
    if (!due(context, scheme)) continue;
    if (context.traced()) context.trace->emit(clock.now_ns(), StatEvent{0, idx, scheme.stat});
    if (walk.visit != nullptr) scheme.walked = walk.id;
    scheme.next_apply = context.schedule.passed + context.apply_interval_samples(scheme);
  }
}

bool walk_finished(const Context& context, const RequestQueue::Walking& walk) {
  return std::all_of(context.schemes.begin(), context.schemes.end(),
                     [&](const Scheme& scheme) { return scheme.walked == walk.id; });
}

uint64_t check_watermarks(Context& context) {
  if (context.schemes.empty()) return 0;
  bool all_rest = true;
  uint64_t wait_us = std::numeric_limits<uint64_t>::max();
  for (Scheme& scheme : context.schemes) {
    const Watermarks& marks = scheme.params.watermarks;
    scheme.active = watermarks_active(marks, scheme.active, context.metrics);
    all_rest = all_rest && !scheme.active;
    wait_us = std::min(wait_us, marks.interval_us);
  }
  if (!all_rest) return 0;
  return wait_us != 0 ? wait_us : std::max<uint64_t>(context.attrs.sample_us, 1);
}

}  // namespace damonfs
