// /proc/self/mountinfo.
#include "fs/mount/mounts.h"
#include "tests/fuzz/text.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = damonfs::text_of(data, size);
  const auto mounts = damonfs::parse_mounts(text);
  for (const auto& mount : mounts) damonfs::top_mount(mounts, mount.mount_point);
  return 0;
}
