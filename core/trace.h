// Trace events: what a kdamond tells of its work while it works. Names, fields and moments are
// those of the kernel's events in damon: (/sys/kernel/tracing/events/damon).
#pragma once

#include <cstdint>
#include <variant>

#include "core/probes.h"
#include "core/scheme.h"

namespace damonfs {

// damon_aggregated: one region, at the end of an aggregation interval. Addresses in units of
// address, accesses in samples, age in aggregation intervals.
struct AggregatedEvent {
  static constexpr const char* kName = "damon_aggregated";
  uint64_t target_id = 0;  // its place among the context's targets
  uint32_t nr_regions = 0;
  uint64_t start = 0;
  uint64_t end = 0;
  uint32_t nr_accesses = 0;
  uint32_t age = 0;
};

// damon_region_aggregated: the same, with the hits of the context's probes.
struct RegionAggregatedEvent {
  static constexpr const char* kName = "damon_region_aggregated";
  AggregatedEvent region;
  size_t nr_probes = 0;
  ProbeHits probe_hits{};  // of which the first nr_probes count
};

// damon_monitor_intervals_tune: the sampling interval that tuning has chosen.
struct IntervalsTuneEvent {
  static constexpr const char* kName = "damon_monitor_intervals_tune";
  uint64_t sample_us = 0;
};

// damos_before_apply: one region, just before a scheme's action is done to it.
struct BeforeApplyEvent {
  static constexpr const char* kName = "damos_before_apply";
  uint32_t context_idx = 0;
  uint32_t scheme_idx = 0;
  uint64_t target_idx = 0;
  uint64_t start = 0;
  uint64_t end = 0;
  uint32_t nr_accesses = 0;
  uint32_t age = 0;
  uint32_t nr_regions = 0;
};

// damos_esz: the size quota that is in effect from here on, in bytes.
struct EszEvent {
  static constexpr const char* kName = "damos_esz";
  uint32_t context_idx = 0;
  uint32_t scheme_idx = 0;
  uint64_t esz = 0;
};

// damos_stat_after_apply_interval: what a scheme has done so far, when its turn is over.
struct StatEvent {
  static constexpr const char* kName = "damos_stat_after_apply_interval";
  uint32_t context_idx = 0;
  uint32_t scheme_idx = 0;
  SchemeStat stat;
};

using TraceFields = std::variant<AggregatedEvent, IntervalsTuneEvent, BeforeApplyEvent, EszEvent,
                                 StatEvent, RegionAggregatedEvent>;

// Who is told of events. Called on threads of kdamonds, several at once; must never wait, for that
// would delay the monitoring. Outlives the contexts that it is told by.
class TraceSink {
 public:
  virtual ~TraceSink() = default;
  // Whether anybody listens: events need not be made otherwise. Cheap.
  [[nodiscard]] virtual bool wanted() const = 0;
  // `time_ns` of the context's clock.
  virtual void emit(uint64_t time_ns, const TraceFields& fields) = 0;
};

}  // namespace damonfs
