#include "fs/client/watchable.h"

#include <unistd.h>

#include <cerrno>

#include "services/processes.h"

namespace damonfs {

Result<std::shared_ptr<Process>> open_watchable(pid_t pid) {
  if (pid == ::getpid()) return fail(EINVAL, "process {} is this command itself", pid);
  auto process = Process::open(pid, Paths{});
  if (!process && process.error().code == ESRCH) {
    return fail(ESRCH, "there is no process {}: No such process; pgrep -a NAME finds one by name",
                pid);
  }
  if (!process) return process;
  const auto text = (*process)->read_file("stat");
  if (!text) return tl::unexpected(text.error());
  const auto stat = parse_process_stat(*text);
  if (!stat) {
    return fail(EINVAL, "cannot make sense of the stat of process {}", (*process)->pid());
  }
  if (stat->of_kernel) {
    return fail(EINVAL,
                "process {} is a thread of the kernel: it has no memory of its own; name a program",
                pid);
  }
  if (!stat->has_memory) {
    return fail(ESRCH, "process {} has ended: it has no memory any more", pid);
  }
  return process;
}

}  // namespace damonfs
