// Lines of trace_pipe.
#include "fs/exec/trace_line.h"

#include "tests/fuzz/text.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = damonfs::text_of(data, size);
  uint64_t start_ns = 0;
  static_cast<void>(damonfs::script_line(text, true));
  static_cast<void>(damonfs::script_line(text, false));
  static_cast<void>(damonfs::live_line(text, start_ns));
  static_cast<void>(damonfs::event_of(text));
  return 0;
}
