#include "reclaim/lru_sort.h"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <limits>

#include "core/base/arithmetic.h"

namespace damonfs {

namespace {

constexpr uint32_t kMax = std::numeric_limits<uint32_t>::max();

// What of the active share both aims claim, so that they do not both come to rest and leave pages
// where they are for good (mainline's margin).
constexpr uint64_t kOverlapBp = 2;

QuotaParams half_of(const ModuleQuota& all) {
  QuotaParams quota;
  quota.ms = all.ms / 2;
  quota.bytes = all.bytes / 2;
  quota.reset_interval_ms = all.reset_interval_ms;
  quota.nr_accesses_permil = 1;
  quota.age_permil = 1;
  return quota;
}

void add_scheme(Context& context, const LruSortParams& params, Action action,
                const AccessPattern& pattern) {
  const bool hot = action == Action::lru_prio;
  SchemeParams scheme;
  scheme.action = action;
  scheme.pattern = pattern;
  scheme.watermarks = params.watermarks;
  if (params.filter_young_pages) {
    // Rejects what is not as the action supposes.
    Filter filter;
    filter.type = FilterType::young;
    filter.matching = !hot;
    scheme.filters.ops.push_back(filter);
  }
  QuotaParams& quota = context.add_scheme(scheme).quota.params;
  quota = half_of(params.quota);
  if (params.active_mem_bp != 0) {
    QuotaGoal goal;
    goal.metric = hot ? GoalMetric::active_mem_bp : GoalMetric::inactive_mem_bp;
    goal.target_value = hot ? params.active_mem_bp : 10000 - params.active_mem_bp + kOverlapBp;
    quota.goals.push_back(goal);
  }
}

}  // namespace

Result<std::unique_ptr<Context>> build_context(LruSortParams& params, const Machine& machine,
                                               ContextUse use) {
  if (params.active_mem_bp > 10000) {
    return fail(EINVAL, "active_mem_bp {} is more than all memory", params.active_mem_bp);
  }
  auto context = physical_context(params.physical, machine, use);
  if (!context) return context;
  const MonitoringAttrs& attrs = (*context)->attrs;
  const auto hot_accesses = static_cast<uint32_t>(std::min<uint64_t>(
      mult_frac(attrs.max_nr_accesses(), params.hot_thres_access_freq, 1000), kMax));
  const uint64_t cold_age = params.cold_min_age_us / attrs.aggr_us;
  add_scheme(**context, params, Action::lru_prio,
             physical_pattern(**context, hot_accesses, kMax, 0));
  add_scheme(**context, params, Action::lru_deprio, physical_pattern(**context, 0, 0, cold_age));
  return context;
}

LruSortReport LruSortReport::of(const Context& context) {
  return {context.schemes.front().stat, std::next(context.schemes.begin())->stat};
}

}  // namespace damonfs
