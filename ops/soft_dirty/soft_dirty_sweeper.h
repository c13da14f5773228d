// Sweeps of processes by soft-dirty bits: what was written to.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/ranges.h"
#include "core/sweep.h"
#include "ops/pages/kpageflags.h"
#include "ops/pages/process_pages.h"
#include "ops/procfs/by_process.h"
#include "ops/procfs/known_mappings.h"
#include "ops/procfs/process.h"

namespace damonfs {

// Tells of every page of a process whether it was written to. The kernel clears soft-dirty bits of
// a process as a whole and in no other way, so a sweep cannot make a range old: it lives on the
// clearings that SoftDirtyBackend does for samples anyway. Before each of these all bits are read
// in bulk (12 ns a page by PAGEMAP_SCAN, which Linux has since 6.7, else 40), and what they say of
// the time since the clearing before is kept. A sweep from further down than where the last one
// ended tells of all such times that have ended since the one before it, or again of the last one
// where none has; what was written since the last clearing comes later. So what it says is as old
// as clearings lie apart: 10 ms, or a hundred times what one takes. Before the first such time has
// ended all pages are unknown.
//
// What a process writes between the reading of a bit and the clearing, a millisecond in 100,000
// pages, is lost. Owned by one SoftDirtyBackend and used on its thread. Memory: 24 bytes a border
// between written and other memory, 3 MiB a process at most, beyond which small runs count as
// written like their neighbours.
class SoftDirtySweeper final : public Sweeper {
 public:
  Result<SweepPiece> sweep(const Target& target, AddrRange range, SweepMode mode,
                           std::vector<SweptRun>& runs) override;
  Result<std::vector<AddrRange>> populated(const Target& target) override;

  // All bits of `process` are about to be cleared: reads them, if the process was ever swept.
  void before_clearing(const Process& process);
  // They were; then sweeps tell of what was read, and of nothing where it could not be. Or that
  // failed: then the time goes on.
  void after_clearing(const Process& process, bool cleared);

 private:
  struct Swept {
    std::weak_ptr<const Process> process;
    std::vector<SweptRun> read;      // before the clearing that is under way
    std::vector<SweptRun> told;      // what sweeps tell of in this pass
    std::vector<SweptRun> upcoming;  // and in the next
    uint64_t pages_read = 0;         // since the last sweep
    uint64_t cpu_ns = 0;
    uint64_t reached = 0;
  };

  // The pages of `process`; `mapped` becomes what it has mapped within `range`. EBUSY when somebody
  // holds its memory map who does not let go.
  Result<ProcessPages> open(const std::shared_ptr<const Process>& process, AddrRange range,
                            RangeList& mapped);
  // What of `range` is resident, all in `state`.
  Result<std::vector<SweptRun>> resident(const std::shared_ptr<const Process>& process,
                                         AddrRange range, AccessState state);
  // What is resident, and of that what was written to since the last clearing.
  Result<std::vector<SweptRun>> read(const std::shared_ptr<const Process>& process);

  KnownMappings mappings_;
  Kpageflags frames_{Paths()};  // which is never asked
  ByProcess<Swept> swept_;
};

}  // namespace damonfs
