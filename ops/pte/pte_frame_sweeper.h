// Sweeps of physical memory by the page tables of all processes.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/sweep.h"
#include "ops/pte/frame_states.h"
#include "ops/pte/pte_sweeper.h"
#include "ops/rmap/reverse_map_scan.h"

namespace damonfs {

// Sweeps page frames. Physical memory has no accessed bits: those of a frame lie in the page tables
// of the processes that map it, anywhere. So a pass goes once over the page tables of all
// processes, as PteSweeper does, one after the other; what is found is kept by frame (FrameStates),
// and told once all were looked at. So no table is copied twice, however pages are scattered. A
// page that is read takes 1 to 3 ns more than in a sweep of its process where frames lie side by
// side, about 15 ns more where they are scattered over many GiB (FrameStates is then read from
// memory). One that is made old takes the same.
//
// What cannot be read, since its tables keep changing or its files cannot be opened, leaves the
// pass with accessed and unknown memory only. Pages in frames that the pass does not ask for are
// not made old. The processes are those of the newest reverse map that are not protected, so what
// PtePaddrBackend says of frames that it does not see holds here, too. Owned by one PtePaddrBackend
// and used on its thread.
class PteFrameSweeper final : public Sweeper {
 public:
  // Both outlive this.
  PteFrameSweeper(PteSweeper& sweeper, RmapRefresher& keeper)
      : sweeper_(&sweeper), keeper_(&keeper) {}

  void begin_pass(std::span<const SweepWish> wishes) override;
  // The target is of no matter. Where no pass was ever begun, a sweep that begins below where the
  // last one ended begins one over all memory.
  Result<SweepPiece> sweep(const Target& target, AddrRange range, SweepMode mode,
                           std::vector<SweptRun>& runs) override;

 private:
  static constexpr uint64_t kMaxPieceNs = 700000;
  static constexpr int kMaxTries = 8;  // at a table that keeps changing, a piece apart

  void restart(RangeList wanted, SweepMode mode);
  // Takes down, once in a pass, which processes to look at; false before the first reverse map.
  bool list_processes();
  // Goes on with the processes, for as long as a piece may take. Returns what that cost.
  SweepCost collect();
  // One read of the next process; false where the same is to be read again some time later.
  bool collect_some(SweepCost& cost);

  PteSweeper* sweeper_;
  RmapRefresher* keeper_;
  FrameStates states_;
  SweepMode mode_ = SweepMode::make_old;
  bool begun_ = false;      // begin_pass() was called
  bool collecting_ = true;  // no process, or not all of them, were looked at
  bool listed_ = false;     // processes_ are those of this pass
  std::vector<std::shared_ptr<const Process>> processes_;  // those that are left, the next one last
  uint64_t addr_ = 0;                                      // in the next process
  int nr_tries_ = 0;                                       // at a table there
  uint64_t reached_ = UINT64_MAX;                          // in physical memory, by what was told
};

}  // namespace damonfs
