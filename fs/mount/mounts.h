// Mounting and unmounting, and what is mounted. Everything here may be called by any thread.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "core/base/fd.h"
#include "core/base/result.h"
#include "fs/command/daemon_state.h"

namespace damonfs {

// The type of our mounts.
inline constexpr const char* kMountType = "fuse.damonfs";

// One mount, as a line of /proc/self/mountinfo has it. A plain value.
struct MountEntry {
  int id = 0;
  int parent = 0;
  dev_t device = 0;  // of the file system, whatever its mounts
  std::string root;  // the directory of the file system that is seen at mount_point
  std::string mount_point;
  std::string type;
  std::string source;
};

// What `mountinfo`, the text of that file, says; lines that are not understood are left out.
[[nodiscard]] std::vector<MountEntry> parse_mounts(std::string_view mountinfo);
// What is mounted in our mount namespace; nothing when that cannot be read.
[[nodiscard]] std::vector<MountEntry> read_mounts();
// The mount that is seen at `mount_point`, an absolute path without links; null when none begins
// there.
[[nodiscard]] const MountEntry* top_mount(const std::vector<MountEntry>& mounts,
                                          std::string_view mount_point);

// A damonfs whose whole tree is seen somewhere, and whether its daemon answers.
struct MountedTree {
  std::string mount_point;
  DaemonState state;
};
// All of them; takes two seconds for each that does not answer.
[[nodiscard]] std::vector<MountedTree> find_trees();

// The damonfs at `path`, as an absolute path without links. EINVAL when what is there is none;
// ENOTCONN when its daemon has died; ETIMEDOUT when it does not answer.
Result<std::string> find_serving(const std::string& path);

// The absolute path of the directory `path`, without links. Nothing is asked of whoever serves it.
// ENOENT, ENOTDIR: there is no such directory. EACCES: a link of another user leads there.
Result<std::string> resolve_mount_point(const std::string& path);

// A file system that was just mounted: its end of /dev/fuse, on which nobody answers yet.
struct FuseMount {
  Fd device_fd;
  dev_t device = 0;
  std::string mount_point;  // as resolved
};

// Mounts damonfs at `path`: on the directory that was there when it was looked at, whatever anybody
// puts in its place meanwhile. A mount that a daemon left behind as it died is cleaned up first.
// ENOENT, ENOTDIR: there is no such directory. EBUSY: a daemon serves there already. ENODEV: the
// kernel has no FUSE. EPERM: no privilege. ENOTEMPTY: the directory holds something, which a mount
// would hide, and not `nonempty`.
Result<FuseMount> mount_damonfs(const std::string& path, bool nonempty);

// Unmounts the damonfs at `path`, whether or not its daemon lives and files are open: whoever waits
// for it gets an error, and the daemon ends. EINVAL when what is there is no damonfs.
Result<void> unmount_damonfs(const std::string& path);

// Unmounts what `mounted` is mounted at, wherever that is by now, likewise. Nothing when it is
// unmounted already.
void unmount(const FuseMount& mounted);

// Unmounts what is seen at `mount_point` if it is of `device`, by name: for when there is neither a
// descriptor nor memory to hold it with. Nothing is asked of whoever serves it.
void unmount_named(const std::string& mount_point, dev_t device);

}  // namespace damonfs
