// /proc/iomem.
#include "ops/procfs/iomem.h"

#include "tests/fuzz/text.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = damonfs::text_of(data, size);
  const auto ram = damonfs::parse_iomem(text);
  for (size_t i = 0; ram && i < ram->size(); ++i) {
    if ((*ram)[i].start >= (*ram)[i].end) __builtin_trap();
    if (i > 0 && (*ram)[i - 1].end > (*ram)[i].start) __builtin_trap();
  }
  return 0;
}
