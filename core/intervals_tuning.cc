#include "core/intervals_tuning.h"

#include <algorithm>

#include "core/base/arithmetic.h"
#include "core/commit.h"
#include "core/feedback.h"

namespace damonfs {

namespace {

// How well the goal was met, 10,000 being just so.
uint64_t goal_score_bp(const Context& context) {
  const uint64_t max_nr_accesses = context.attrs.max_nr_accesses();
  uint128 seen = 0;
  uint128 max = 0;
  for (const Target& target : context.targets) {
    for (const Region& region : target.regions()) {
      const auto size = static_cast<uint128>(region.range.size());
      seen += size * region.nr_accesses;
      max += size * max_nr_accesses;
    }
  }
  const auto goal = std::max<uint128>(max * context.attrs.intervals_goal.access_bp / 10000, 1);
  return static_cast<uint64_t>(std::min<uint128>(seen * 10000 / goal, UINT64_MAX));
}

// What the intervals are to be multiplied by, in 1/10,000, from 5,000 to 20,000.
uint64_t adaptation_bp(uint64_t score_bp) {
  constexpr uint64_t kScale = 10000;
  const uint64_t adaptation = feed_loop(10000 * kScale, score_bp) / kScale;
  return adaptation <= 10000 ? 5000 + adaptation / 2 : adaptation;
}

}  // namespace

void tune_intervals(Context& context) {
  const uint64_t adaptation = adaptation_bp(goal_score_bp(context));
  if (adaptation == 10000) return;
  MonitoringAttrs attrs = context.attrs;
  const IntervalsGoal& goal = attrs.intervals_goal;
  attrs.sample_us = mult_frac(attrs.sample_us, adaptation, 10000);
  attrs.sample_us = std::max(goal.min_sample_us, std::min(goal.max_sample_us, attrs.sample_us));
  attrs.aggr_us = attrs.sample_us * context.aggr_samples;
  set_attrs(context, attrs);
}

}  // namespace damonfs
