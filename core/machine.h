// A machine as the interfaces to users see it: what can be watched there, and with what.
#pragma once

#include <cerrno>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/attrs.h"
#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/context.h"
#include "core/operations.h"
#include "core/region.h"
#include "core/running_kdamonds.h"
#include "core/target.h"
#include "core/trace.h"

namespace damonfs {

// What is needed of a machine to make contexts for it and to run them. Made in `ops`, real or
// described by a pattern; faked in unit tests. A value: copies share what they point to, which
// outlives them all. Its functions are thread-safe.
struct Machine {
  // The kinds of operations that work here, in the kernel's order.
  std::vector<OpsId> avail_operations;
  // Operations of that kind for one context. EINVAL when not available.
  std::function<Result<std::unique_ptr<Operations>>(OpsId)> make_operations;
  // Takes hold of the process that `pid` means to the process `writer` (a number of this process's
  // pid namespace, 0 for one that is not in it). EINVAL when there is none that can be watched.
  std::function<Result<std::shared_ptr<TargetHandle>>(int pid, int writer)> open_target;
  // The id of the memory cgroup at `path` below the cgroup mount (see ops/procfs/memcg.h). Null:
  // there are none.
  std::function<Result<uint64_t>(std::string_view path)> find_memcg;
  // What modules monitor by default: from the start of the first System RAM to the end of the last,
  // in bytes; as of ops/procfs/iomem.h. Null: a machine without physical memory.
  std::function<Result<AddrRange>()> system_ram_span;
  // Of this machine, the tree's and the modules' alike.
  std::shared_ptr<RunningKdamonds> kdamonds = std::make_shared<RunningKdamonds>();
  // Whether accesses are writes only, as with the backend soft-dirty.
  bool sees_writes_only = false;
  // Of one processor, in 1/10,000, for sweeps (core/sweep_guide.h) of each context that does not
  // say otherwise.
  uint64_t sweep_bp = 0;
  Clock* clock = nullptr;
  TraceSink* trace = nullptr;  // who is told of kdamonds' work; null: nobody
  uint64_t seed = 0;           // of all that is random
  // For reports: what accesses are noticed by, and whether actions are only counted.
  std::string backend;
  bool dry_run = false;
};

// What a context is made for: to run, with operations of its own, or to be committed to a context
// that runs with its own already.
enum class ContextUse { start, commit };

// A context on `machine` without targets, probes and schemes. `addr_unit` is not 0; regions are at
// least a page, as far as units of address allow. Attributes are not checked. Errors as
// make_operations.
[[nodiscard]] Result<std::unique_ptr<Context>> make_context(const Machine& machine, OpsId id,
                                                            ContextUse use,
                                                            const MonitoringAttrs& attrs,
                                                            uint64_t addr_unit);

// The error that a Machine answers with where `error` is why it cannot watch something. The kernel
// tells the writer only EINVAL.
[[nodiscard]] inline Error not_watchable(Error error) {
  error.code = EINVAL;
  return error;
}

// A process held in `ops`, as open_target() returns it.
template <class Process>
[[nodiscard]] std::shared_ptr<TargetHandle> as_handle(std::shared_ptr<Process> process) {
  return process;
}

}  // namespace damonfs
