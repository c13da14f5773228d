// What modules need of the machine that they are to keep healthy.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/operations.h"
#include "core/region.h"
#include "core/running_kdamonds.h"
#include "core/trace.h"

namespace damonfs {

// A plain value; what it points to outlives the modules. Its functions are thread-safe.
struct ModuleWorld {
  // Operations of paddr for one context. EINVAL where physical memory cannot be watched.
  std::function<Result<std::unique_ptr<Operations>>()> make_operations;
  // Where the biggest block of System RAM lies, in bytes.
  std::function<Result<AddrRange>()> biggest_system_ram;
  std::shared_ptr<RunningKdamonds> kdamonds;
  Clock* clock = nullptr;
  TraceSink* trace = nullptr;  // null: nobody is told of events
  uint64_t seed = 0;
};

}  // namespace damonfs
