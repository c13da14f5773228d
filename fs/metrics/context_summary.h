// What metrics take of a running context.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/context.h"

namespace damonfs {

// Neighbouring addresses of one age. Bytes. A plain value.
struct AgedRange {
  AddrRange range;
  size_t age = 0;         // see fs/metrics/idle_age.h
  bool accessed = false;  // in the last aggregation interval

  friend bool operator==(const AgedRange&, const AgedRange&) = default;
};

// A copy of what changes while a context runs, as small as can be. A plain value.
struct ContextSummary {
  struct OfTarget {
    std::shared_ptr<TargetHandle> handle;  // null: physical memory
    std::vector<AgedRange> ranges;         // ascending
  };
  struct OfScheme {
    Action action = Action::stat;
    bool active = true;
    uint64_t effective_bytes = 0;  // 0: no quota
    SchemeStat stat;               // sizes in bytes
  };

  // On the kdamond's thread; takes as long as it takes to go through the regions once.
  static ContextSummary of(const Context& context);

  OpsId operations = OpsId::vaddr;
  uint64_t sample_us = 0;  // as tuned by now
  uint64_t aggr_us = 0;
  uint64_t nr_regions = 0;
  SampleTiming timing;
  std::vector<OfTarget> targets;
  std::vector<OfScheme> schemes;
};

}  // namespace damonfs
