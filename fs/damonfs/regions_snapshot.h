// All regions of a running context at one moment, as MOUNT/damonfs/kdamonds/N/regions and
// regions.json have them (docs/regions.md).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/context.h"

namespace damonfs {

// A copy of the regions of a context, taken quickly on the kdamond's thread and written out on
// another one. A plain value.
struct RegionsSnapshot {
  struct OfRegion {
    AddrRange range;           // in units of address
    uint32_t nr_accesses = 0;  // moving sum, see Context::moving_nr_accesses()
    uint32_t age = 0;          // in aggregation intervals
    SweptState swept = SweptState::never;
    uint32_t nr_schemes = 0;  // of `schemes`, behind those of the region before
    ProbeHits probe_hits{};   // moving sums
  };
  struct OfTarget {
    int pid = -1;           // -1: none, as of physical memory
    size_t nr_regions = 0;  // of `regions`, behind those of the target before
  };

  // `now_ns`: the time, of the clock that the kdamond runs by.
  static RegionsSnapshot of(const Context& context, uint64_t now_ns);

  OpsId operations = OpsId::vaddr;
  uint64_t addr_unit = 1;  // bytes a unit of address stands for
  uint64_t min_region_sz = 0;
  MonitoringAttrs attrs;
  size_t nr_probes = 0;
  uint64_t nr_samples = 0;  // sampling intervals since the kdamond started
  uint64_t time_ns = 0;
  std::vector<OfTarget> targets;
  std::vector<OfRegion> regions;  // target by target, ascending within each
  std::vector<uint32_t> schemes;  // numbers of the active schemes whose access pattern matches
};

// The files' text. `snapshot` null: the kdamond is off.
[[nodiscard]] std::string regions_text(const RegionsSnapshot* snapshot, const std::string& backend);
[[nodiscard]] std::string regions_json(const RegionsSnapshot* snapshot, const std::string& backend);

}  // namespace damonfs
