// Sweeps of described physical memory.
#pragma once

#include <cstdint>
#include <vector>

#include "core/sweep.h"
#include "ops/synthetic/pattern_memory.h"
#include "ops/synthetic/synthetic_sweeper.h"

namespace damonfs {

// Sweeps the physical memory of a pattern's machine: each page is the one that a process has there,
// and what SyntheticSweeper says of it is said of its place in physical memory. Owned by
// SyntheticPaddr, same thread; `memory` and `play` outlive it.
class SyntheticFrameSweeper final : public Sweeper {
 public:
  SyntheticFrameSweeper(const PatternMemory& memory, SyntheticPlay& play)
      : memory_(&memory), sweeper_(play) {}

  Result<SweepPiece> sweep(const Target& target, AddrRange range, SweepMode mode,
                           std::vector<SweptRun>& runs) override;

 private:
  const PatternMemory* memory_;
  SyntheticSweeper sweeper_;
  std::vector<SweptRun> of_block_;  // kept for its memory
};

}  // namespace damonfs
