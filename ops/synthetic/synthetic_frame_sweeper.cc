#include "ops/synthetic/synthetic_frame_sweeper.h"

#include <algorithm>

namespace damonfs {
namespace {

constexpr uint64_t kMaxPieceNs = 1000000;

}  // namespace

Result<SweepPiece> SyntheticFrameSweeper::sweep(const Target& /*target*/, AddrRange range,
                                                SweepMode mode, std::vector<SweptRun>& runs) {
  SweepPiece piece{.next = range.end};
  for (auto block = memory_->at_or_above(range.start);
       block != memory_->blocks().end() && block->physical.start < range.end; ++block) {
    const AddrRange part{std::max(range.start, block->physical.start),
                         std::min(range.end, block->physical.end)};
    const AddrRange at{block->to_virtual(part.start), block->to_virtual(part.end)};
    const uint64_t shift = part.start - at.start;  // may wrap around
    of_block_.clear();
    const SweepPiece done = sweeper_.sweep_process(block->pid, at, mode, of_block_);
    for (const SweptRun& run : of_block_) {
      append_joined(runs, {{run.range.start + shift, run.range.end + shift}, run.state});
    }
    piece.cost += done.cost;
    const bool stopped = done.next < at.end || piece.cost.cpu_ns >= kMaxPieceNs;
    if (stopped) {
      piece.next = done.next + shift;
      break;
    }
    piece.next = std::max(piece.next, done.next + shift);
  }
  return piece;
}

}  // namespace damonfs
