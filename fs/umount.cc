#include <fmt/format.h>

#include "fs/commands.h"
#include "fs/mounts.h"

namespace damonfs {

int run_umount(const UmountOptions& options) {
  const auto done = unmount_damonfs(options.mount_point);
  if (done) return 0;
  fmt::print(stderr, "damonfs: {}\n", done.error().message);
  return 1;
}

}  // namespace damonfs
