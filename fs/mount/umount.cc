#include "fs/command/commands.h"
#include "fs/command/failures.h"
#include "fs/mount/mounts.h"

namespace damonfs {

int run_umount(const UmountOptions& options) {
  const auto done = unmount_damonfs(options.mount_point);
  return done ? 0 : complain(done.error().message);
}

}  // namespace damonfs
