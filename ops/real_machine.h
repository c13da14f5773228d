// The machine that a daemon serves: the real one through a backend, or one that a pattern
// describes.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "core/base/result.h"
#include "core/machine.h"
#include "ops/procfs/paths.h"
#include "ops/rmap/protection.h"

namespace damonfs {

// A Machine and what belongs to it. A value; any thread.
struct ServedMachine {
  Machine machine;
  std::string description;            // which backend watches and why, for the log
  std::shared_ptr<const void> parts;  // what `machine` points to; outlives the tree and kdamonds
};

// How to make one. A value.
struct MachineOptions {
  // As on the command line: auto, pte, idle, soft-dirty or synthetic:FILE.
  std::string backend = "auto";
  std::optional<uint64_t> seed;  // none: a pattern's own, else a random one
  // Schemes' actions are counted and not done; on a pattern they never are.
  bool dry_run = false;
  // Of one processor, in 1/10,000, for sweeps of each context.
  uint64_t sweep_bp = 100;
  // Processes that actions on physical memory leave alone; held from here on.
  ProtectedList protect = ProtectedList::own();
};

// ESRCH when a process that is to be left alone is not there; EINVAL when `paths` has the procfs of
// another pid namespace; ENOTSUP when the backend does not work here, or with `auto` when none
// does, and why; EINVAL for a name that is none of these; for a pattern what load_pattern() says.
// Physical memory is available with pte and idle, where page frames may be known.
[[nodiscard]] Result<ServedMachine> make_machine(const MachineOptions& options,
                                                 const Paths& paths = {});

}  // namespace damonfs
