// Sweeps of processes by idle page tracking.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "core/ranges.h"
#include "core/sweep.h"
#include "ops/idle/page_idle.h"
#include "ops/pages/pagemap.h"
#include "ops/procfs/known_mappings.h"
#include "ops/procfs/paths.h"
#include "ops/procfs/process.h"

namespace damonfs {

// Sweeps the address spaces of processes: reads the page frames behind kPagesAPiece pages at once
// from pagemap, asks the bitmap of idle frames about all of them, and marks them idle. What
// IdleBackend says of the bitmap holds here, too, but that a page whose frame cannot be marked is
// unknown, and pages that several processes share are not. To ask the bitmap of a frame that is
// idle takes the kernel a look at all its mappings. Owned by one IdleBackend and used on its
// thread.
class IdleSweeper final : public Sweeper {
 public:
  // The bitmap is opened by the first sweep().
  explicit IdleSweeper(const Paths& paths) : paths_(paths) {}

  Result<SweepPiece> sweep(const Target& target, AddrRange range, SweepMode mode,
                           std::vector<SweptRun>& runs) override;

 private:
  static constexpr uint64_t kPagesAPiece = 2048;

  // The part of `range` that is looked at now: of one mapping. Empty, at the range's end, where
  // nothing is mapped. Reads what is mapped anew when a target is swept from further down.
  Result<AddrRange> next_part(const std::shared_ptr<const Process>& process, AddrRange range);
  // Reads the entries for the pages of `part`; those that cannot be read are empty. EBUSY when
  // somebody holds the memory map of the process who does not let go.
  Result<> read_entries(const Process& process, AddrRange part, SweepCost& cost);
  // Fills states_ for the entries, but for huge pages that begin below `start`.
  void ask(AddrRange part, uint64_t start);
  // Appends the runs from `start` on; returns the end of the last one or of the part.
  uint64_t add_runs(AddrRange part, uint64_t start, std::vector<SweptRun>& runs,
                    SweepCost& cost) const;

  Paths paths_;
  std::optional<PageIdle> marks_;
  std::weak_ptr<const Process> process_;  // that mapped_ is of
  RangeList mapped_;
  KnownMappings mappings_;
  uint64_t reached_ = 0;  // by the last sweep()

  // Of one piece, kept for their memory; parallel.
  std::vector<PagemapEntry> entries_;
  std::vector<AccessState> states_;
};

}  // namespace damonfs
