#include "ops/procfs/pid_namespace.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>

#include "core/base/fd.h"
#include "ops/procfs/status.h"

namespace damonfs {
namespace {

namespace files = std::filesystem;

// NS_GET_TGID_FROM_PIDNS, younger than our headers.
constexpr unsigned long kGetTgidFromPidns = _IOR(NSIO, 0x7, int);

Fd open_space(const std::string& process) {
  return Fd(::open((process + "/ns/pid").c_str(), O_RDONLY | O_CLOEXEC));
}

bool same_space(int one, int other) {
  struct stat a {};
  struct stat b {};
  return ::fstat(one, &a) == 0 && ::fstat(other, &b) == 0 && a.st_dev == b.st_dev &&
         a.st_ino == b.st_ino;
}

// Whether the namespace `levels` above that of `process` is `space`.
bool is_below(const std::string& process, size_t levels, int space) {
  Fd own = open_space(process);
  for (; own.valid() && levels > 0; --levels) own = Fd(::ioctl(own.get(), NS_GET_PARENT));
  return own.valid() && same_space(own.get(), space);
}

bool is_number(const std::string& name) {
  return std::ranges::all_of(name, [](char c) { return c >= '0' && c <= '9'; });
}

// The process of `thread`, a directory of procfs, if that has the number `pid` in `space`.
std::optional<pid_t> match(const std::string& thread, int space, size_t depth, pid_t pid) {
  const auto status = read_status(thread);
  if (!status || status->nspid.size() <= depth || status->nspid[depth] != pid) return std::nullopt;
  if (!is_below(thread, status->nspid.size() - 1 - depth, space)) return std::nullopt;
  return status->tgid;
}

}  // namespace

Result<void> check_own_procfs(const Paths& paths) {
  const auto self = read_status(paths.proc + "/self");
  // A kernel without pid namespaces has no NSpid.
  if (self && self->tgid == ::getpid() && self->nspid.size() <= 1) return {};
  // Of whoever is not in its namespace procfs has the link, too, but leads nowhere.
  std::error_code error;
  if (!files::exists(files::symlink_status(paths.proc + "/self", error))) {
    return fail(ENOENT, "no procfs is mounted at {}: mount -t proc proc {}", paths.proc,
                paths.proc);
  }
  return fail(EINVAL, "{} is the procfs of another pid namespace: its numbers mean others there",
              paths.proc);
}

Result<pid_t> find_pid_by_status(int space, size_t depth, pid_t pid, const Paths& paths) {
  std::error_code error;
  for (files::directory_iterator all(paths.proc, error); !error && all != files::end(all);
       all.increment(error)) {
    if (!is_number(all->path().filename())) continue;
    std::error_code gone;
    for (files::directory_iterator threads(all->path() / "task", gone);
         !gone && threads != files::end(threads); threads.increment(gone)) {
      if (const auto found = match(threads->path(), space, depth, pid)) return *found;
    }
  }
  return fail(ESRCH, "there is no process {} in the pid namespace of whoever wrote it", pid);
}

Result<pid_t> pid_as_named_by(pid_t writer, pid_t pid, const Paths& paths) {
  if (writer == ::getpid()) return pid;
  if (writer <= 0) {
    return fail(EINVAL, "{} was written in a pid namespace that is not below the daemon's", pid);
  }
  const Fd own = open_space(paths.proc + "/self");
  if (!own.valid() && errno == ENOENT) return pid;  // a kernel without namespaces
  const std::string directory = fmt::format("{}/{}", paths.proc, writer);
  const Fd space = open_space(directory);
  if (!own.valid() || !space.valid()) {
    return fail(EINVAL, "cannot tell which process {} is to its writer, process {}: {}", pid,
                writer, std::strerror(errno));
  }
  if (same_space(own.get(), space.get())) return pid;
  const int found = ::ioctl(space.get(), kGetTgidFromPidns, pid);
  if (found > 0) return found;
  if (errno == ESRCH || found == 0) {
    return fail(ESRCH, "there is no process {} in the pid namespace of its writer, process {}", pid,
                writer);
  }
  const auto status = read_status(directory);
  if (!status || status->nspid.empty()) {
    return fail(EINVAL, "cannot tell the pid namespace of process {}", writer);
  }
  return find_pid_by_status(space.get(), status->nspid.size() - 1, pid, paths);
}

}  // namespace damonfs
