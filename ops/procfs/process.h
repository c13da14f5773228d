// A process that is held, not merely numbered: a pid that is used again is never taken for it.
#pragma once

#include <sys/types.h>

#include <cerrno>
#include <memory>
#include <string>

#include "core/base/fd.h"
#include "core/base/result.h"
#include "core/target.h"
#include "ops/base/beside.h"
#include "ops/procfs/paths.h"

namespace damonfs {

// A process by its pidfd and its procfs directory, both of which stay with that very process. Owned
// by the targets that watch it. Immutable after open(); may be used from any thread.
class Process final : public TargetHandle, public std::enable_shared_from_this<Process> {
 public:
  // Holds the process `pid`, which may be a kernel's (it just maps nothing). The id of a thread
  // stands for its process. ESRCH when there is none; EINVAL for a number that is no pid.
  static Result<std::shared_ptr<Process>> open(pid_t pid, const Paths& paths);

  // The same for the process that `pid` means to the process or thread `writer`, which is given by
  // its number here and exists until this returns. Errors as open() and pid_as_named_by().
  static Result<std::shared_ptr<Process>> open_as_named_by(pid_t writer, pid_t pid,
                                                           const Paths& paths);

  // Nothing when its mappings can be read, or it has no memory; else what open(2) says of its
  // `maps`.
  [[nodiscard]] Result<void> check_readable() const;

  // Of the process, also when it was named by a thread.
  [[nodiscard]] pid_t pid() const override { return pid_; }
  [[nodiscard]] int pidfd() const { return pidfd_.get(); }

  // Whether the process exists; a zombie does until it is reaped, as for the kernel's vaddr
  // operations.
  [[nodiscard]] bool exists() const override;

  // Whether a call that failed with `error` failed because the process is gone. ESRCH alone does
  // not say so: it also means that there is no memory to be reached, as of a kernel thread or a
  // zombie.
  [[nodiscard]] bool is_gone(int error) const { return error == ESRCH && !exists(); }

  // Whether a call that takes the lock of its memory map for reading is answered now. That is tried
  // on a thread beside: whoever holds the lock may be stuck (in mmap() of a file on a dead server)
  // or have no processor to run on, and some calls that wait for it cannot be ended. Waits for the
  // answer at most three times patience() (60 ms), more where the trial itself has no processor; as
  // long as no answer has come this is false, at once. It is true of a process without memory.
  [[nodiscard]] bool map_is_free() const;
  // The same as an error: EBUSY when it is not.
  [[nodiscard]] Result<void> check_map_is_free() const;

  // Opens a file of its procfs directory, e.g. "maps" or "pagemap", close-on-exec. ESRCH once the
  // process is gone, otherwise what open(2) says.
  [[nodiscard]] Result<Fd> open_file(const char* name, int flags) const;
  // The text of such a file. Errors as open_file(), and what read(2) says.
  [[nodiscard]] Result<std::string> read_file(const char* name) const;

  [[nodiscard]] bool same_as(const TargetHandle& other) const override;

  // "BOOT-ID START": the boot that it belongs to, and when it started then, in clock ticks since.
  [[nodiscard]] std::string identity() const override;

 private:
  Process(pid_t pid, Fd pidfd, Fd directory);
  static Result<std::shared_ptr<Process>> open_of_thread(pid_t tid, const Paths& paths);

  pid_t pid_;
  Fd pidfd_;
  Fd directory_;
  SideWork trial_;  // of map_is_free()
};

}  // namespace damonfs
