#include "ops/rmap/reverse_map.h"

#include "core/base/arithmetic.h"

namespace damonfs {

ReverseMap::ReverseMap(std::vector<MappedRun> runs, std::vector<MappingProcess> processes)
    : runs_(std::move(runs)), processes_(std::move(processes)) {
  std::sort(runs_.begin(), runs_.end(),
            [](const MappedRun& a, const MappedRun& b) { return a.frame < b.frame; });
}

std::vector<MappedRun>::const_iterator ReverseMap::block_of(uint64_t frame) const {
  const uint64_t block = align_down(frame, kBlock);
  return std::partition_point(runs_.begin(), runs_.end(),
                              [block](const MappedRun& run) { return run.frame < block; });
}

}  // namespace damonfs
