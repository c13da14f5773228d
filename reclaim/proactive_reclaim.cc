#include "reclaim/proactive_reclaim.h"

namespace damonfs {

namespace {

QuotaParams quota_of(const ReclaimParams& params) {
  QuotaParams quota;
  quota.ms = params.quota.ms;
  quota.bytes = params.quota.bytes;
  quota.reset_interval_ms = params.quota.reset_interval_ms;
  quota.age_permil = 1;
  if (params.quota_mem_pressure_us != 0) {
    QuotaGoal goal;
    goal.metric = GoalMetric::some_mem_psi_us;
    goal.target_value = params.quota_mem_pressure_us;
    quota.goals.push_back(goal);
  }
  if (params.quota_autotune_feedback != 0) {
    QuotaGoal goal;
    goal.metric = GoalMetric::user_input;
    goal.target_value = 10000;
    goal.current_value = params.quota_autotune_feedback;
    quota.goals.push_back(goal);
  }
  return quota;
}

}  // namespace

Result<std::unique_ptr<Context>> build_context(ReclaimParams& params, const Machine& machine,
                                               ContextUse use) {
  auto context = physical_context(params.physical, machine, use);
  if (!context) return context;
  const uint64_t min_age = params.min_age_us / (*context)->attrs.aggr_us;
  SchemeParams scheme;
  scheme.action = Action::pageout;
  scheme.pattern = physical_pattern(**context, 0, 0, min_age);
  scheme.watermarks = params.watermarks;
  if (params.skip_anon) {
    Filter filter;
    filter.type = FilterType::anon;
    filter.matching = true;
    scheme.filters.ops.push_back(filter);
  }
  (*context)->add_scheme(scheme).quota.params = quota_of(params);
  return context;
}

ReclaimReport ReclaimReport::of(const Context& context) { return {context.schemes.front().stat}; }

}  // namespace damonfs
