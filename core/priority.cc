#include "core/priority.h"

#include <algorithm>
#include <bit>

#include "core/actions.h"
#include "core/base/arithmetic.h"

namespace damonfs {

namespace {

// Age counts by its magnitude: for a region that is not accessed it speaks for coldness.
uint64_t age_subscore(uint64_t age_seconds, bool accessed) {
  constexpr int kMaxMagnitude = 32;
  const int magnitude = std::min(static_cast<int>(std::bit_width(age_seconds)), kMaxMagnitude);
  const int signed_magnitude = accessed ? magnitude : -magnitude;
  return static_cast<uint64_t>(signed_magnitude + kMaxMagnitude) * 100 / kMaxMagnitude / 2;
}

uint32_t hot_score(const Context& context, const QuotaParams& weights, const Region& region) {
  const uint64_t frequency =
      mult_frac(context.moving_nr_accesses(region), 100, context.attrs.max_nr_accesses());
  const uint64_t age_seconds = mult_frac(region.age, context.attrs.aggr_us, 1'000'000);
  uint64_t score = weights.nr_accesses_permil * frequency +
                   weights.age_permil * age_subscore(age_seconds, frequency != 0);
  const uint64_t weight = uint64_t{weights.nr_accesses_permil} + weights.age_permil;
  if (weight != 0) score /= weight;
  return static_cast<uint32_t>(std::min<uint64_t>(score * kMaxScore / 100, kMaxScore));
}

}  // namespace

uint32_t priority_score(const Context& context, const Scheme& scheme, const Region& region) {
  const Action action = scheme.params.action;
  if (!is_done_to(context.ops_id, action)) return kMaxScore;
  switch (traits_of(action).priority) {
    case Priority::hot:
      return hot_score(context, scheme.quota.params, region);
    case Priority::cold:
      return kMaxScore - hot_score(context, scheme.quota.params, region);
    case Priority::any:
      break;
  }
  return kMaxScore;
}

}  // namespace damonfs
