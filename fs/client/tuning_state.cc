#include "fs/client/tuning_state.h"

#include <algorithm>

namespace damonfs {

namespace {

// The tuning has settled when the interval is as long as it may be, or has changed little over so
// many rounds.
constexpr double kRounds = 1.5;
constexpr double kLittle = 1.3;
// The first pass only makes pages old, and the second has to be over.
constexpr uint64_t kPasses = 3;

}  // namespace

void TuningState::note(Snapshot& snapshot) {
  const MonitoringAttrs& attrs = snapshot.attrs;
  seen_.push_back({snapshot.elapsed, attrs.sample_us});
  snapshot.trust = Trust::settled;
  if (snapshot.passes != 0 && snapshot.passes < kPasses) snapshot.trust = Trust::not_swept;
  if (attrs.intervals_goal.aggrs == 0) return;
  const double aggregation = static_cast<double>(attrs.aggr_us) / 1e6;
  const double from =
      snapshot.elapsed - kRounds * static_cast<double>(attrs.intervals_goal.aggrs) * aggregation;
  // One that is older stays, to be sure that the time between was seen.
  while (seen_.size() > 2 && seen_[1].elapsed <= from) seen_.pop_front();
  const auto shorter = [](const Interval& a, const Interval& b) {
    return a.sample_us < b.sample_us;
  };
  const auto [least, most] = std::minmax_element(seen_.begin(), seen_.end(), shorter);
  const bool steady = static_cast<double>(most->sample_us) <=
                      kLittle * static_cast<double>(std::max<uint64_t>(least->sample_us, 1));
  const bool longest = attrs.sample_us >= attrs.intervals_goal.max_sample_us;
  if (!longest && (seen_.front().elapsed > from || !steady)) snapshot.trust = Trust::tuning;
}

}  // namespace damonfs
