#include "ops/synthetic/pattern_memory.h"

#include <algorithm>

#include "core/base/arithmetic.h"
#include "ops/pages/process_pages.h"

namespace damonfs {
namespace {

constexpr uint64_t kStart = uint64_t{4} << 30;

}  // namespace

PatternMemory::PatternMemory(const Pattern& pattern) : space_{kStart, kStart} {
  for (const PatternProcess& process : pattern.processes) {
    if (!process.pid) continue;
    for (const PatternMapping& mapping : process.mappings) {
      const uint64_t start = align_up(space_.end, std::max(kHugePageSize, mapping.leaf_sz));
      const uint64_t end = start + mapping.range.size();
      blocks_.push_back({{start, end}, *process.pid, &process, &mapping});
      space_.end = align_up(end, kHugePageSize);
    }
  }
}

const PatternMemory::Block* PatternMemory::at(uint64_t addr) const {
  const auto block = at_or_above(addr);
  return block != blocks_.end() && block->physical.start <= addr ? &*block : nullptr;
}

std::vector<PatternMemory::Block>::const_iterator PatternMemory::at_or_above(uint64_t addr) const {
  return std::upper_bound(blocks_.begin(), blocks_.end(), addr,
                          [](uint64_t a, const Block& block) { return a < block.physical.end; });
}

}  // namespace damonfs
