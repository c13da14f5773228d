// What a process id means to a process of another pid namespace.
#pragma once

#include <sys/types.h>

#include "core/base/result.h"
#include "ops/procfs/paths.h"

namespace damonfs {

// Nothing when paths.proc shows the processes of this process's own pid namespace. EINVAL when it
// is that of another one, in which every number means somebody else. Any thread.
Result<void> check_own_procfs(const Paths& paths);

// The number here of the process that `pid` means to the process or thread `writer`, which is given
// by its number here and exists until this returns; that of a thread gives its process's. With a
// writer of our own namespace, `pid` as it is. EINVAL when the writer's namespace cannot be looked
// into (a number that the kernel could not translate is 0); ESRCH when `pid` is nobody there. What
// is returned may end at any time: hold it, then ask again (Process::open_as_named_by). Any thread.
// Source: NS_GET_TGID_FROM_PIDNS of ioctl_nsfs(2); before Linux 6.11 NSpid of proc_pid_status(5).
Result<pid_t> pid_as_named_by(pid_t writer, pid_t pid, const Paths& paths);

// The second of these two ways; a look at every thread. `space`: a descriptor of the namespace;
// `depth`: how many namespaces lie between ours and it. For tests.
Result<pid_t> find_pid_by_status(int space, size_t depth, pid_t pid, const Paths& paths);

}  // namespace damonfs
