#include "fs/commands.h"
#include "fs/failures.h"
#include "fs/mounts.h"

namespace damonfs {

int run_umount(const UmountOptions& options) {
  const auto done = unmount_damonfs(options.mount_point);
  return done ? 0 : complain(done.error().message);
}

}  // namespace damonfs
