#include "core/kdamond_loop.h"

#include <algorithm>

#include "core/adjust.h"
#include "core/base/arithmetic.h"
#include "core/damos.h"
#include "core/intervals_tuning.h"

namespace damonfs {

namespace {

// `us` microseconds after `now_ns`, or the end of time.
uint64_t time_after(uint64_t now_ns, uint64_t us) {
  return now_ns + std::min(mult_frac(us, 1000, 1), UINT64_MAX - now_ns);
}

}  // namespace

KdamondLoop::KdamondLoop(Context& context, Clock& clock, RequestQueue& requests)
    : context_(context), clock_(clock), requests_(requests), guide_(context, clock) {}

void KdamondLoop::start() {
  context_.schedule = {};
  context_.aggr_samples = context_.samples_in(context_.attrs.aggr_us);
  context_.restart_schedule();
  context_.schedule.next_tune =
      context_.schedule.next_aggregation * context_.attrs.intervals_goal.aggrs;
  context_.operations->init(context_);
  sz_limit_ = apply_min_nr_regions(context_);
}

bool KdamondLoop::run_once(const std::stop_token& stop) {
  Schedule& schedule = context_.schedule;
  // Deadlines as they stood when this interval began: a commit in its middle moves the next ones,
  // not these.
  const Schedule began = schedule;
  if (!wait_for_activation(stop)) return false;
  IntervalTimes times;
  times.prepare_ns = clock_.now_ns();
  prepare_samples();
  times.sleep_ns = clock_.now_ns();
  times.due_ns = time_after(times.sleep_ns, context_.attrs.sample_us);
  times.check_ns = sleep(times.sleep_ns, context_.attrs.sample_us, stop);
  ++schedule.passed;
  const uint64_t max_score = check_samples();
  guide_.sweep_piece();
  const bool aggregated = schedule.passed >= began.next_aggregation;
  if (aggregated) {
    guide_.count_swept();
    merge_regions(context_, max_score / 10, sz_limit_);
    sz_limit_ = apply_min_nr_regions(context_);
    guide_.place_borders();
  }
  requests_.serve_calls(context_);
  if (!wait_while_paused(stop, times.paused_ns)) return false;
  serve_schemes();
  if (context_.observer) context_.observer(context_);
  if (aggregated) end_aggregation(began.next_aggregation);
  if (schedule.passed >= began.next_update) {
    schedule.next_update = began.next_update + context_.samples_in(context_.attrs.update_us);
    context_.operations->update(context_);
  }
  note_timing(times, aggregated);
  return !stop.stop_requested();
}

void KdamondLoop::note_timing(const IntervalTimes& times, bool aggregated) {
  const uint64_t late_ns = times.check_ns - std::min(times.check_ns, times.due_ns);
  const uint64_t slept_ns = times.check_ns - times.sleep_ns;
  const uint64_t work_ns = clock_.now_ns() - times.prepare_ns - slept_ns - times.paused_ns;
  SampleTiming& timing = context_.timing;
  timing.since_start.add(late_ns, work_ns);
  timing.running_aggregation.add(late_ns, work_ns);
  if (aggregated) timing.end_aggregation();
}

bool KdamondLoop::must_end(const std::stop_token& stop) {
  return stop.stop_requested() || !context_.has_valid_target();
}

uint64_t KdamondLoop::sleep(uint64_t now_ns, uint64_t us, const std::stop_token& stop) {
  const uint64_t end_ns = time_after(now_ns, us);
  for (bool disturbed = true; disturbed;) {
    {
      const RequestQueue::Sleep sleep(requests_, stop);
      clock_.sleep_us(us, sleep.disturbed());
      disturbed = sleep.disturbed().stop_requested();
    }
    requests_.serve_looks(context_);
    now_ns = clock_.now_ns();
    if (stop.stop_requested() || now_ns >= end_ns) break;
    us = (end_ns - now_ns + 999) / 1000;
  }
  return now_ns;
}

bool KdamondLoop::wait_for_activation(const std::stop_token& stop) {
  while (!must_end(stop)) {
    const uint64_t wait_us = check_watermarks(context_);
    if (wait_us == 0) return true;
    requests_.cancel_walk();
    sleep(clock_.now_ns(), wait_us, stop);
    requests_.serve_calls(context_);
  }
  return false;
}

void KdamondLoop::prepare_samples() {
  samples_.clear();
  for (Target& target : context_.targets) {
    for (Region& region : target.regions()) {
      region.sampling_addr = context_.random.between(region.range.start, region.range.end);
      samples_.push_back({.target = &target, .addr = region.sampling_addr});
    }
  }
  const bool accesses = !context_.attrs_only();
  if (accesses) context_.operations->prepare(samples_);
  if (!context_.probes.empty()) {
    context_.operations->prepare_probes(context_.probes, samples_, accesses);
  }
}

uint64_t KdamondLoop::check_samples() {
  const bool accesses = !context_.attrs_only();
  if (accesses) context_.operations->check(samples_);
  if (!context_.probes.empty()) {
    context_.operations->apply_probes(context_.probes, samples_, accesses);
  }
  uint64_t max_score = 0;
  auto sample = samples_.begin();
  for (Target& target : context_.targets) {
    for (Region& region : target.regions()) {
      if (accesses && sample->accessed) ++region.nr_accesses;
      if (accesses && sample->unknown) region.unknown = true;
      for (size_t p = 0; p < context_.probes.size(); ++p) {
        if ((sample->probes_hit >> p & 1) != 0) count_hit(region.probe_hits[p]);
      }
      ++sample;
      max_score = std::max(max_score, merge_score(context_, region));
    }
  }
  return max_score;
}

bool KdamondLoop::wait_while_paused(const std::stop_token& stop, uint64_t& paused_ns) {
  if (!context_.pause) return true;
  const uint64_t began_ns = clock_.now_ns();
  while (context_.pause) {
    requests_.cancel_walk();
    sleep(clock_.now_ns(), context_.attrs.sample_us, stop);
    requests_.serve_calls(context_);
    if (must_end(stop)) return false;
  }
  paused_ns += clock_.now_ns() - began_ns;
  return true;
}

void KdamondLoop::serve_schemes() {
  if (context_.schemes.empty()) {
    requests_.cancel_walk();
    return;
  }
  const RequestQueue::Walking walk = requests_.take_walk();
  apply_schemes(context_, clock_, walk);
  if (walk.visit != nullptr) requests_.release_walk(walk_finished(context_, walk));
}

void KdamondLoop::trace_aggregated() const {
  if (!context_.traced()) return;
  const uint64_t now_ns = clock_.now_ns();
  uint64_t target_id = 0;
  for (const Target& target : context_.targets) {
    const auto nr_regions = static_cast<uint32_t>(target.nr_regions());
    for (const Region& region : target.regions()) {
      const AggregatedEvent event{target_id,        nr_regions,         region.range.start,
                                  region.range.end, region.nr_accesses, region.age};
      context_.trace->emit(now_ns, event);
      context_.trace->emit(now_ns,
                           RegionAggregatedEvent{event, context_.probes.size(), region.probe_hits});
    }
    ++target_id;
  }
}

void KdamondLoop::end_aggregation(uint64_t aggregation) {
  Schedule& schedule = context_.schedule;
  const uint64_t aggrs = context_.attrs.intervals_goal.aggrs;
  if (aggrs != 0 && schedule.passed >= schedule.next_tune) {
    schedule.next_tune += context_.aggr_samples * aggrs;
    // A commit in this interval may have moved it; counts of a finished aggregation are converted.
    schedule.next_aggregation = aggregation;
    tune_intervals(context_);
    if (context_.traced()) {
      context_.trace->emit(clock_.now_ns(), IntervalsTuneEvent{context_.attrs.sample_us});
    }
  }
  schedule.next_aggregation = aggregation + context_.samples_in(context_.attrs.aggr_us);
  trace_aggregated();
  reset_aggregated(context_);
  split_regions(context_);
}

}  // namespace damonfs
