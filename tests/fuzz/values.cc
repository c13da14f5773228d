// What is written to attributes.
#include "fs/tree/values.h"

#include "tests/fuzz/text.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = damonfs::text_of(data, size);
  static_cast<void>(damonfs::parse_ulong(text));
  static_cast<void>(damonfs::parse_uint(text));
  static_cast<void>(damonfs::parse_int(text));
  static_cast<void>(damonfs::parse_bool(text));
  return 0;
}
