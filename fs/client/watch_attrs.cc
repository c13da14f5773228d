#include "fs/client/watch_attrs.h"

#include <algorithm>
#include <cerrno>

namespace damonfs {

namespace {

constexpr uint64_t kSamplesAnAggregation = 20;  // in an aggregation
constexpr uint64_t kNsAUs = 1000;
// Mappings that come and go are noticed this fast; the tree's default of a minute is long to look
// at.
constexpr uint64_t kUpdateUs = 1'000'000;
constexpr double kMaxAggregation = 1;  // seconds
constexpr uint64_t kGoalBp = 400;      // what the kernel's documentation suggests
constexpr uint64_t kGoalAggrs = 2;

}  // namespace

MonitoringAttrs watch_attrs(const WatchOptions& options) {
  MonitoringAttrs attrs;
  attrs.update_us = kUpdateUs;
  if (options.sample_ns != 0 || options.aggr_ns != 0) {
    attrs.sample_us = options.sample_ns / kNsAUs;
    attrs.aggr_us = options.aggr_ns / kNsAUs;
    if (options.sample_ns == 0) attrs.sample_us = attrs.aggr_us / kSamplesAnAggregation;
    if (options.aggr_ns == 0) attrs.aggr_us = attrs.sample_us * kSamplesAnAggregation;
    return attrs;
  }
  const double longest = std::max(kMaxAggregation, options.interval) * 1e6;
  attrs.intervals_goal = {kGoalBp, kGoalAggrs, attrs.sample_us,
                          static_cast<uint64_t>(longest) / kSamplesAnAggregation};
  return attrs;
}

Result<void> check_watch_attrs(const WatchOptions& options) {
  const MonitoringAttrs attrs = watch_attrs(options);
  if (attrs.sample_us == 0) return fail(EINVAL, "samples must be 1 us apart at the least");
  if (attrs.sample_us > attrs.aggr_us) {
    return fail(EINVAL, "--sample must not be longer than --aggr");
  }
  return {};
}

}  // namespace damonfs
