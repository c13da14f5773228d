// Reading MOUNT/damonfs/kdamonds/N/regions (docs/regions.md).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/attrs.h"
#include "core/base/result.h"
#include "core/region.h"

namespace damonfs {

// All regions of a kdamond at one moment. A value.
struct KdamondRegions {
  struct OfRegion {
    AddrRange range;  // bytes
    uint32_t nr_accesses = 0;
    uint32_t age = 0;
    SweptState swept = SweptState::never;
  };
  struct OfTarget {
    uint32_t number = 0;
    int pid = -1;
    std::vector<OfRegion> regions;
  };

  bool on = false;  // else there is nothing else but `backend`
  std::string backend;
  std::string operations;
  MonitoringAttrs attrs;
  uint64_t nr_samples = 0;
  uint64_t time_ns = 0;           // of the kdamond's clock
  std::vector<OfTarget> targets;  // those with regions
};

// From the text of the file. EPROTO for text that is none, naming what is wrong.
[[nodiscard]] Result<KdamondRegions> parse_regions(std::string_view text);

// From the file `path`. Errors as parse_regions(), and what open(2) and read(2) say.
[[nodiscard]] Result<KdamondRegions> read_regions(const std::string& path);

}  // namespace damonfs
