// A sweep from one end of a range to the other.
#pragma once

#include <vector>

#include "core/sweep.h"

namespace damonfs {

// What is found replaces `runs`. Returns what it cost; errors as of Sweeper::sweep().
inline Result<SweepCost> sweep_whole(Sweeper& sweeper, const Target& target, AddrRange range,
                                     std::vector<SweptRun>& runs) {
  SweepCost cost;
  runs.clear();
  while (range.start < range.end) {
    const auto piece = sweeper.sweep(target, range, SweepMode::make_old, runs);
    if (!piece) return tl::unexpected(piece.error());
    range.start = piece->next;
    cost += piece->cost;
  }
  return cost;
}

}  // namespace damonfs
