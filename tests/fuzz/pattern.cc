// Descriptions of accesses, docs/pattern.md.
#include "ops/synthetic/pattern.h"

#include "tests/fuzz/text.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = damonfs::text_of(data, size);
  const auto pattern = damonfs::parse_pattern(text);
  if (!pattern && (pattern.error().code <= 0 || pattern.error().message.empty())) __builtin_trap();
  return 0;
}
