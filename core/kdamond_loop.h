// What a kdamond does, one sampling interval after the other (design.rst, "Monitoring"; mm/damon's
// kdamond_fn in its observable order).
#pragma once

#include <stop_token>
#include <vector>

#include "core/base/clock.h"
#include "core/context.h"
#include "core/requests.h"
#include "core/sweep_guide.h"

namespace damonfs {

// The loop of one kdamond, without its thread, so that tests can run it step by step in virtual
// time. Used by one thread; context, clock and requests outlive it.
class KdamondLoop {
 public:
  KdamondLoop(Context& context, Clock& clock, RequestQueue& requests);

  // Lets the operations find what there is to watch and sets the first deadlines.
  void start();

  // One sampling interval: watches, and at an aggregation's end adjusts regions; serves requests;
  // applies schemes. False when it is over: `stop` was requested, or no target is valid any more.
  bool run_once(const std::stop_token& stop);

 private:
  // Whether `stop` was requested, or no target is valid any more.
  [[nodiscard]] bool must_end(const std::stop_token& stop);
  // Sleeps for `us` microseconds from `now_ns`, less when `stop` is requested, and serves looks
  // meanwhile. Returns the time at its end.
  uint64_t sleep(uint64_t now_ns, uint64_t us, const std::stop_token& stop);
  // Sleeps, serving calls, while the watermarks let every scheme rest; false when it must end.
  [[nodiscard]] bool wait_for_activation(const std::stop_token& stop);
  void prepare_samples();
  // Counts what was accessed, and what probes hit; returns the largest score (adjust.h) of all
  // regions.
  uint64_t check_samples();
  // Sleeps, serving calls, while the context is paused, and adds how long that was to `paused_ns`;
  // false when it must end.
  [[nodiscard]] bool wait_while_paused(const std::stop_token& stop, uint64_t& paused_ns);
  // When the steps of a sampling interval began, by the clock.
  struct IntervalTimes {
    uint64_t prepare_ns = 0;
    uint64_t sleep_ns = 0;
    uint64_t due_ns = 0;  // the check, had the sleep been as long as it should
    uint64_t check_ns = 0;
    uint64_t paused_ns = 0;  // how long the context was paused since
  };
  // Adds an interval that ends now to the context's timing.
  void note_timing(const IntervalTimes& times, bool aggregated);
  void serve_schemes();
  void trace_aggregated() const;
  void end_aggregation(uint64_t aggregation);

  Context& context_;
  Clock& clock_;
  RequestQueue& requests_;
  SweepGuide guide_;
  uint64_t sz_limit_ = 0;
  std::vector<Sample> samples_;  // parallel to all regions of all targets
};

}  // namespace damonfs
