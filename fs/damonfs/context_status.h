// What a running context really works with, as MOUNT/damonfs/status.json has it (docs/status.md).
#pragma once

#include <cstdint>
#include <vector>

#include "core/base/json_value.h"
#include "core/context.h"

namespace damonfs {

// A copy of a running context. A plain value: quick to take on the kdamond's thread, and turned
// into JSON on another one.
struct ContextStatus {
  struct OfRegion {
    AddrRange range;
    uint64_t sampling_addr = 0;
    uint32_t nr_accesses = 0;  // moving sum, see Context::moving_nr_accesses()
    uint32_t age = 0;
    SweptState swept = SweptState::never;
    ProbeHits probe_hits{};  // moving sums
  };
  struct OfTarget {
    int pid = -1;  // -1: none, as of physical memory
    bool obsolete = false;
    std::vector<OfRegion> regions;
  };
  struct OfScheme {
    SchemeParams params;
    QuotaParams quota;
    uint64_t effective_bytes = 0;
    SchemeStat stat;
    bool active = true;
  };

  static ContextStatus of(const Context& context);
  [[nodiscard]] JsonValue to_json() const;

  OpsId operations = OpsId::vaddr;
  uint64_t addr_unit = 1;
  uint64_t min_region_sz = 0;  // in units of address
  bool pause = false;
  uint64_t sweep_bp = 0;        // budget of sweeps, of one processor, in 1/10,000
  uint64_t accessed_bytes = 0;  // of regions that the last sweeps found accessed
  uint64_t unknown_bytes = 0;   // of pages of which the last pass could not tell
  uint64_t passes = 0;          // that have begun, of the target that has seen the fewest
  MonitoringAttrs attrs;
  std::vector<Probe> probes;
  SampleTiming timing;
  std::vector<OfTarget> targets;
  std::vector<OfScheme> schemes;
};

}  // namespace damonfs
