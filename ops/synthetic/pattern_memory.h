// Where the memory of described processes lies in the physical address space of their machine.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "ops/synthetic/pattern.h"

namespace damonfs {

// The physical memory of a pattern: from 4 GiB on the mappings of all processes that have a number,
// one after the other in the order of the file (of a process: of addresses), each from the next
// multiple of 2 MiB, or of its leaves where they are larger. Nothing is shared, and a mapping that
// is absent keeps its place. Immutable, any thread; refers to the pattern, which outlives it.
class PatternMemory {
 public:
  // One mapping: its bytes in physical memory are those of mapping->range in their order.
  struct Block {
    AddrRange physical;
    pid_t pid;
    const PatternProcess* process;
    const PatternMapping* mapping;

    [[nodiscard]] uint64_t to_virtual(uint64_t addr) const {
      return mapping->range.start + (addr - physical.start);
    }
  };

  explicit PatternMemory(const Pattern& pattern);

  [[nodiscard]] const std::vector<Block>& blocks() const { return blocks_; }  // ascending
  // From the first block up to the end of the last, a multiple of 2 MiB; empty without blocks.
  [[nodiscard]] AddrRange space() const { return space_; }
  // The block that holds `addr`; null when there is none.
  [[nodiscard]] const Block* at(uint64_t addr) const;
  // The first block that ends above `addr`; the end of blocks() when there is none.
  [[nodiscard]] std::vector<Block>::const_iterator at_or_above(uint64_t addr) const;

 private:
  std::vector<Block> blocks_;
  AddrRange space_;
};

}  // namespace damonfs
