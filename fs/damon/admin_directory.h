// DAMON's part of the tree: kernel/mm/damon/admin and everything below it.
#pragma once

#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "core/base/clock.h"
#include "core/operations.h"
#include "core/region.h"
#include "core/running_kdamonds.h"
#include "core/target.h"
#include "core/trace.h"
#include "fs/tree/node.h"

namespace damonfs {

// What the tree needs of the world below it; wired in main, faked in unit tests. Outlives the tree.
// Thread-safe.
struct Machine {
  // The kinds of operations that really work here, in the kernel's order.
  std::vector<OpsId> avail_operations;
  // Operations of that kind for one context. EINVAL when not available.
  std::function<Result<std::unique_ptr<Operations>>(OpsId)> make_operations;
  // Takes hold of a process that is to be watched. EINVAL when there is none of that pid.
  std::function<Result<std::shared_ptr<TargetHandle>>(int pid)> open_target;
  // The id of the memory cgroup at `path` below the cgroup mount (see ops/procfs/memcg.h). Null:
  // there are none.
  std::function<Result<uint64_t>(std::string_view path)> find_memcg;
  // The biggest range of RAM, in bytes, which modules watch unless told otherwise; as of
  // ops/procfs/iomem.h. Null: a machine without physical memory.
  std::function<Result<AddrRange>()> biggest_system_ram;
  // Of this machine, the tree's and the modules' alike.
  std::shared_ptr<RunningKdamonds> kdamonds = std::make_shared<RunningKdamonds>();
  // Whether accesses are writes only, as with the backend soft-dirty.
  bool sees_writes_only = false;
  Clock* clock = nullptr;
  TraceSink* trace = nullptr;  // who is told of kdamonds' work; null: nobody
  uint64_t seed = 0;
};

// Makes kernel/mm/damon/admin below the tree's root. Kdamonds that still run when the tree goes are
// stopped.
void add_damon_tree(Tree& tree, const Machine& machine);

}  // namespace damonfs
