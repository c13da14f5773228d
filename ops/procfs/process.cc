#include "ops/procfs/process.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "core/base/read_whole.h"
#include "ops/procfs/pid_namespace.h"
#include "ops/procfs/process_stat.h"
#include "ops/procfs/status.h"

namespace damonfs {
namespace {

// By number: the C library's <sys/pidfd.h> of 2.36 is not for C++.
int pidfd_open(pid_t pid, unsigned flags) {
  return static_cast<int>(::syscall(SYS_pidfd_open, pid, flags));
}

// The process that the thread `tid` belongs to, or -1.
pid_t process_of_thread(pid_t tid, const Paths& paths) {
  const auto status = read_status(fmt::format("{}/{}", paths.proc, tid));
  return status ? status->tgid : -1;
}

bool alive(const Fd& pidfd) {
  return ::syscall(SYS_pidfd_send_signal, pidfd.get(), 0, nullptr, 0) == 0 || errno == EPERM;
}

}  // namespace

Process::Process(pid_t pid, Fd pidfd, Fd directory)
    : pid_(pid), pidfd_(std::move(pidfd)), directory_(std::move(directory)) {}

Result<std::shared_ptr<Process>> Process::open(pid_t pid, const Paths& paths) {
  if (pid <= 0) return fail(EINVAL, "{} is no process id", pid);
  Fd pidfd(pidfd_open(pid, 0));
  // The refusals of a thread that leads no process: ENOENT since 6.15.
  if (!pidfd.valid() && (errno == EINVAL || errno == ENOENT)) return open_of_thread(pid, paths);
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

Result<std::shared_ptr<Process>> Process::open_of_thread(pid_t tid, const Paths& paths) {
  const pid_t leader = process_of_thread(tid, paths);
  if (leader > 0 && leader != tid) {
    auto process = open(leader, paths);
    // That number may have passed on meanwhile, but not while it is held.
    if (!process || process_of_thread(tid, paths) == leader) return process;
  }
  return fail(ESRCH, "there is no process or thread {} in {}", tid, paths.proc);
}

Result<std::shared_ptr<Process>> Process::open_as_named_by(pid_t writer, pid_t pid,
                                                           const Paths& paths) {
  constexpr int kTries = 3;  // of processes that end just then
  for (int i = 0; i < kTries; ++i) {
    const auto number = pid_as_named_by(writer, pid, paths);
    if (!number) return tl::unexpected(number.error());
    auto process = open(*number, paths);
    // The number cannot pass on while it is held: if it is still meant, this is the one.
    const auto again = pid_as_named_by(writer, pid, paths);
    if (again && *again == *number) return process;
  }
  return fail(ESRCH, "process {} has just ended", pid);
}

Result<void> Process::check_readable() const {
  const auto maps = open_file("maps", O_RDONLY);
  if (maps || maps.error().code == ESRCH) return {};
  return tl::unexpected(maps.error());
}

bool Process::exists() const { return alive(pidfd_); }

bool Process::map_is_free() const {
  const auto try_it = [self = shared_from_this()] {
    const auto pagemap = self->open_file("pagemap", O_RDONLY);
    uint64_t entry = 0;
    // The kernel looks for page 0 with the lock held, whether it is there or not.
    const ssize_t size = pagemap ? ::pread(pagemap->get(), &entry, sizeof(entry), 0) : -1;
    static_cast<void>(size);
  };
  bool is_free = trial_.run(try_it, patience());
  // The trial itself may wait for a processor, or for the pages of its own program. So it counts as
  // blocked by the lock only when it still is some time later.
  constexpr int kLeast = 3;
  constexpr int kMost = 100;
  for (int times = 2; !is_free && times < kMost && (times <= kLeast || trial_.wants_processor());
       ++times)
    is_free = trial_.wait(times * patience());
  return is_free;
}

Result<void> Process::check_map_is_free() const {
  if (map_is_free()) return {};
  return fail(EBUSY, "somebody holds the memory map of process {} and does not let go", pid_);
}

Result<Fd> Process::open_file(const char* name, int flags) const {
  Fd file(::openat(directory_.get(), name, flags | O_CLOEXEC));
  if (file.valid()) return file;
  const int error = errno;
  if (!exists()) return fail(ESRCH, "process {} is gone", pid_);
  return fail(error, "cannot open {} of process {}: {}", name, pid_, std::strerror(error));
}

Result<std::string> Process::read_file(const char* name) const {
  const auto file = open_file(name, O_RDONLY);
  if (!file) return tl::unexpected(file.error());
  return read_whole(*file);
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

std::string Process::identity() const {
  const auto stat = parse_process_stat(read_file("stat").value_or(std::string()));
  std::string boot = read_file("../sys/kernel/random/boot_id").value_or(std::string());
  if (boot.ends_with('\n')) boot.pop_back();
  return boot.empty() || !stat ? std::string() : fmt::format("{} {}", boot, stat->start);
}

}  // namespace damonfs
