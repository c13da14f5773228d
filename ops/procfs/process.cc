#include "ops/procfs/process.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

namespace damonfs {
namespace {

constexpr unsigned kPidfdThread = O_EXCL;  // PIDFD_THREAD, younger than our C library

// By number: the C library's <sys/pidfd.h> of 2.36 is not for C++.
int pidfd_open(pid_t pid, unsigned flags) {
  return static_cast<int>(::syscall(SYS_pidfd_open, pid, flags));
}

// The process that the thread `tid` belongs to, or -1.
pid_t process_of_thread(pid_t tid, const Paths& paths) {
  const std::string path = paths.proc + "/" + std::to_string(tid) + "/status";
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return -1;
  char text[4096];
  const ssize_t size = ::read(file.get(), text, sizeof(text) - 1);
  if (size <= 0) return -1;
  text[size] = '\0';
  const char* line = std::strstr(text, "\nTgid:");
  return line == nullptr ? -1 : static_cast<pid_t>(std::strtol(line + 6, nullptr, 10));
}

// A pidfd of the process or thread `pid`; an invalid one with errno set when there is none.
Fd open_pidfd(pid_t pid, const Paths& paths) {
  Fd whole(pidfd_open(pid, 0));
  // The refusals of a thread that leads no process: ENOENT since 6.15.
  if (whole.valid() || (errno != EINVAL && errno != ENOENT)) return whole;
  Fd thread(pidfd_open(pid, kPidfdThread));
  if (thread.valid() || errno != EINVAL) return thread;
  const pid_t leader = process_of_thread(pid, paths);
  if (leader > 0) return Fd(pidfd_open(leader, 0));
  errno = ESRCH;
  return {};
}

bool alive(const Fd& pidfd) {
  return ::syscall(SYS_pidfd_send_signal, pidfd.get(), 0, nullptr, 0) == 0 || errno == EPERM;
}

}  // namespace

Process::Process(pid_t pid, Fd pidfd, Fd directory)
    : pid_(pid), pidfd_(std::move(pidfd)), directory_(std::move(directory)) {}

Result<std::shared_ptr<Process>> Process::open(pid_t pid, const Paths& paths) {
  if (pid <= 0) return fail(EINVAL, "{} is no process id", pid);
  Fd pidfd = open_pidfd(pid, paths);
  if (!pidfd.valid()) return fail(errno, "cannot hold process {}: {}", pid, std::strerror(errno));
  const std::string path = paths.proc + "/" + std::to_string(pid);
  Fd directory(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  const int error = errno;
  // The number cannot have passed to another process before the one that is held was reaped: if
  // it still is there now, the directory is its.
  if (!alive(pidfd) || (!directory.valid() && error == ENOENT)) {
    return fail(ESRCH, "there is no process {} in {}", pid, paths.proc);
  }
  if (!directory.valid()) return fail(error, "cannot open {}: {}", path, std::strerror(error));
  return std::shared_ptr<Process>(new Process(pid, std::move(pidfd), std::move(directory)));
}

bool Process::exists() const { return alive(pidfd_); }

Result<Fd> Process::open_file(const char* name, int flags) const {
  Fd file(::openat(directory_.get(), name, flags | O_CLOEXEC));
  if (file.valid()) return file;
  const int error = errno;
  if (!exists()) return fail(ESRCH, "process {} is gone", pid_);
  return fail(error, "cannot open {} of process {}: {}", name, pid_, std::strerror(error));
}

bool Process::same_as(const TargetHandle& other) const {
  const auto* process = dynamic_cast<const Process*>(&other);
  if (process == nullptr || process->pid_ != pid_) return false;
  // Held directories keep their inodes, and a process that has the number anew has a new one.
  struct stat ours, theirs;
  return ::fstat(directory_.get(), &ours) == 0 &&
         ::fstat(process->directory_.get(), &theirs) == 0 && ours.st_dev == theirs.st_dev &&
         ours.st_ino == theirs.st_ino;
}

}  // namespace damonfs
