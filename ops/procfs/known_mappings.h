// What processes have mapped, for threads that may not wait.
#pragma once

#include <memory>

#include "core/base/result.h"
#include "ops/base/beside.h"
#include "ops/procfs/by_process.h"
#include "ops/procfs/maps.h"
#include "ops/procfs/process.h"

namespace damonfs {

// Reads the mappings of processes on threads beside (ops/base/beside.h). Owned by who asks, used on
// its thread. Keeps 16 bytes a mapping of each process that it was asked about and that still is
// held by somebody.
class KnownMappings {
 public:
  using Mappings = std::shared_ptr<const Mapped>;

  // Of a process that was not asked about before, `first` times patience() is waited: the thread
  // beside may itself wait for a processor.
  explicit KnownMappings(int first = 3) : first_(first) {}

  // The mappings of `process` (read_mapped()), never null: as they are now if to read them takes
  // less than patience() (20 ms); else as they were when they were last read to the end. Of a
  // process that took more than 5 ms they are read again after twenty times as long, and nobody
  // waits for that. EBUSY when they have never been read to the end so far. Otherwise errors as
  // read_mapped(), of the last time they were read.
  [[nodiscard]] Result<Mappings> of(const std::shared_ptr<const Process>& process);

 private:
  // Written by the thread beside while it reads, and else by the owner.
  struct Reading {
    Result<Mapped> mapped;
    uint64_t cpu_ns = 0;
    bool done = false;
  };
  struct Known {
    std::weak_ptr<const Process> process;
    SideWork beside;
    std::shared_ptr<Reading> reading;  // the one that is going on
    Result<Mappings> newest = Mappings();
    uint64_t next_ns = 0;  // not to be read before
    bool is_slow = false;
  };
  // Takes over what was read if it has been read to its end.
  static void take(Known& known);

  const int first_;
  ByProcess<Known> known_;
};

}  // namespace damonfs
