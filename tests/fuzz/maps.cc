// /proc/PID/maps.
#include "ops/procfs/maps.h"

#include "tests/fuzz/text.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = damonfs::text_of(data, size);
  const auto maps = damonfs::parse_maps(text);
  for (size_t i = 0; maps && i < maps->size(); ++i) {
    // Ascending, not overlapping, not empty.
    if ((*maps)[i].start >= (*maps)[i].end) __builtin_trap();
    if (i > 0 && (*maps)[i - 1].end > (*maps)[i].start) __builtin_trap();
  }
  return 0;
}
