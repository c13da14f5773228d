// A context: everything one kdamond watches and does.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "core/attrs.h"
#include "core/base/page_size.h"
#include "core/base/random.h"
#include "core/operations.h"
#include "core/probes.h"
#include "core/sample_timing.h"
#include "core/schedule.h"
#include "core/scheme.h"
#include "core/target.h"
#include "core/trace.h"

namespace damonfs {

// Targets, attributes and schemes, with the operations that serve them. Built by one thread, then
// handed to a kdamond, which alone touches it from then on.
struct Context {
  Context(OpsId id, std::unique_ptr<Operations> ops, uint64_t seed)
      : ops_id(id), operations(std::move(ops)), random(seed) {}
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  Target& add_target(std::shared_ptr<TargetHandle> handle);
  TargetList::iterator remove_target(TargetList::iterator target);
  Scheme& add_scheme(SchemeParams params);
  SchemeList::iterator remove_scheme(SchemeList::iterator scheme);
  [[nodiscard]] size_t nr_regions() const;
  // Whether there is something to watch: a target that is valid, or physical memory, which is
  // always there, even without targets; or targets may come.
  [[nodiscard]] bool has_valid_target() const;

  // Sampling intervals that fit into `us` microseconds, the unit of every deadline; a sampling
  // interval of 0 counts as 1.
  [[nodiscard]] uint64_t samples_in(uint64_t us) const;
  // Sampling intervals between two applications of `scheme`.
  [[nodiscard]] uint64_t apply_interval_samples(const Scheme& scheme) const;
  // Sets every deadline one interval ahead of now, as a start and new attributes do.
  void restart_schedule();

  // Share of the last aggregation that counts in a moving sum, in 1/10,000: what the running one
  // still lacks.
  [[nodiscard]] uint64_t last_share_bp() const;
  // How often `region` was accessed over the last full aggregation interval, in samples: what the
  // running aggregation counted, and of the last one as large a share as the running one still
  // lacks. Exactly nr_accesses at an aggregation's end (design.rst, "Access Frequency").
  [[nodiscard]] uint32_t moving_nr_accesses(const Region& region) const;
  // The same for hits of the probes, and for the sum of these by the probes' weights.
  [[nodiscard]] ProbeHits moving_probe_hits(const Region& region) const;
  [[nodiscard]] uint64_t moving_probe_hits_wsum(const Region& region) const;

  // Whether accesses are not monitored: probes have weights, and regions are told apart by their
  // hits (design.rst, "Data Attributes-only Monitoring").
  [[nodiscard]] bool attrs_only() const { return have_weight(probes); }

  OpsId ops_id;
  std::unique_ptr<Operations> operations;
  Random random;
  MonitoringAttrs attrs;
  uint64_t addr_unit = 1;              // bytes a unit of address stands for
  uint64_t min_region_sz = kPageSize;  // in units of address
  bool pause = false;
  // Targets are processes that come and go by themselves: commits pair them by process, and the
  // kdamond goes on when there is none.
  bool follows = false;
  uint64_t sweep_bp = 0;       // of one processor, for sweeps (core/sweep_guide.h); 0: none
  uint64_t aggr_samples = 20;  // samples an aggregation, as the user set it; tuning keeps it

  // Looks at the context in every sampling interval, when schemes have had their turn and before an
  // aggregation that is over is begun anew. On the kdamond's thread; must not wait.
  std::function<void(const Context&)> observer;

  Metrics* metrics = nullptr;  // the machine's; null where no scheme asks for any

  TraceSink* trace = nullptr;  // who is told of events; null: nobody
  // Whether events are worth making at all.
  [[nodiscard]] bool traced() const { return trace != nullptr && trace->wanted(); }

  Schedule schedule;
  SampleTiming timing;
  std::vector<Probe> probes;  // kMaxProbes at most

  size_t last_nr_regions = 0;      // regions there were at the last split
  uint64_t nr_partial_splits = 0;  // splits of only some regions so far, which take turns

  RegionPool pool;  // outlives targets: declared before them
  TargetList targets;
  SchemeList schemes;
};

}  // namespace damonfs
