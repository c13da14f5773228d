#include "fs/client/watchable.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>

#include "core/base/read_whole.h"

namespace damonfs {

namespace {

// What the kernel says of a process in its `stat`.
struct StateAndFlags {
  char state = 0;
  unsigned flags = 0;
};

Result<StateAndFlags> stat_of(const Process& process) {
  const auto file = process.open_file("stat", O_RDONLY);
  if (!file) return tl::unexpected(file.error());
  const auto text = read_whole(*file);
  if (!text) return tl::unexpected(text.error());
  // Behind the name, which may hold anything: state, five numbers, flags.
  const size_t name_end = text->rfind(')');
  StateAndFlags stat;
  if (name_end == std::string::npos ||
      std::sscanf(&(*text)[name_end + 1], " %c %*d %*d %*d %*d %*d %u", &stat.state, &stat.flags) !=
          2) {
    return fail(EINVAL, "cannot make sense of the stat of process {}", process.pid());
  }
  return stat;
}

}  // namespace

Result<std::shared_ptr<Process>> open_watchable(pid_t pid) {
  if (pid == ::getpid()) return fail(EINVAL, "process {} is this command itself", pid);
  auto process = Process::open(pid, Paths{});
  if (!process && process.error().code == ESRCH) {
    return fail(ESRCH, "there is no process {}: No such process; pgrep -a NAME finds one by name",
                pid);
  }
  if (!process) return process;
  const auto stat = stat_of(**process);
  if (!stat) return tl::unexpected(stat.error());
  constexpr unsigned kKernelThread = 0x200000;  // PF_KTHREAD
  if ((stat->flags & kKernelThread) != 0) {
    return fail(EINVAL,
                "process {} is a thread of the kernel: it has no memory of its own; name a program",
                pid);
  }
  if (stat->state == 'Z' || stat->state == 'X') {
    return fail(ESRCH, "process {} has ended: it has no memory any more", pid);
  }
  return process;
}

}  // namespace damonfs
