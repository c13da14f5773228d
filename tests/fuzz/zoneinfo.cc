// /proc/zoneinfo and /proc/cpuinfo, cut where a NUL is.
#include "ops/pte/kernel_layout.h"
#include "tests/fuzz/text.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = damonfs::text_of(data, size);
  const size_t cut = text.find(0);
  const auto cpuinfo = cut == std::string_view::npos ? "" : text.substr(cut + 1);
  static_cast<void>(damonfs::MachineMemory::parse(text.substr(0, cut), cpuinfo));
  return 0;
}
