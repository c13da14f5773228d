// Configurations: YAML.
#include "fs/config/config.h"

#include "tests/fuzz/text.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = damonfs::text_of(data, size);
  // Takes everything, and keeps nothing.
  struct Sink final : damonfs::TreeWriter {
    damonfs::Result<void> write(const std::string& path, std::string_view) override {
      if (path.empty()) __builtin_trap();
      return {};
    }
  } sink;
  static_cast<void>(damonfs::apply_config(text, "fuzz", sink));
  static_cast<void>(damonfs::read_protected(
      text, "fuzz", [](std::string_view) { return damonfs::Result<void>(); }));
  return 0;
}
