// MOUNT/damonfs/kdamonds/N/regions.
#include "fs/client/regions_file.h"
#include "tests/fuzz/text.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto regions = damonfs::parse_regions(damonfs::text_of(data, size));
  if (!regions) return 0;
  for (const auto& target : regions->targets) {
    // Ascending, not overlapping, and no target without a region.
    if (target.regions.empty()) __builtin_trap();
    for (size_t i = 1; i < target.regions.size(); ++i) {
      if (target.regions[i - 1].range.end > target.regions[i].range.start) __builtin_trap();
    }
  }
  return 0;
}
