// Sweeps of physical memory by idle page tracking.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/sweep.h"
#include "ops/idle/page_idle.h"
#include "ops/procfs/paths.h"

namespace damonfs {

// Sweeps page frames: reads the flags and the idle bits of some thousand neighbours at once, and
// marks those folios idle again that were accessed. No process is looked at or held up. What
// IdlePaddrBackend says of the bitmap holds here, too, but that a page that is mapped and cannot be
// marked (just faulted in, hugetlbfs) is unknown. To ask the bitmap of a frame that is idle takes
// the kernel a look at all its mappings, 0.3 to 1 us. A sample of a page takes the access away that
// this has not told of yet: one page a region and sampling interval. Owned by one IdlePaddrBackend
// and used on its thread.
class IdleFrameSweeper final : public Sweeper {
 public:
  // The files are opened by the first sweep().
  explicit IdleFrameSweeper(Paths paths) : paths_(std::move(paths)) {}

  Result<SweepPiece> sweep(const Target& target, AddrRange range, SweepMode mode,
                           std::vector<SweptRun>& runs) override;

 private:
  // What is asked of the kernel at once, and how long a piece may take before it asks no more.
  static constexpr uint64_t kFramesAtOnce = 2048;
  static constexpr uint64_t kMaxPieceNs = 700000;

  Result<> open();
  // Sweeps the folios that begin in frames [first, last); returns the frame behind them.
  Result<uint64_t> sweep_frames(uint64_t first, uint64_t last, SweepMode mode,
                                std::vector<SweptRun>& runs, SweepCost& cost);

  Paths paths_;
  std::optional<PageIdle> marks_;
  uint64_t end_ = 0;      // frame behind the last one of the machine, as of the last pass
  uint64_t reached_ = 0;  // by the last sweep(); bytes

  // Of one step, kept for their memory; parallel.
  std::vector<Folio> folios_;
  std::vector<AccessState> states_;
};

}  // namespace damonfs
