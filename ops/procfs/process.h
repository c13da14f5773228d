// A process that is held, not merely numbered: a pid that is used again is never taken for it.
#pragma once

#include <sys/types.h>

#include <memory>

#include "core/base/fd.h"
#include "core/base/result.h"
#include "core/target.h"
#include "ops/procfs/paths.h"

namespace damonfs {

// A process by its pidfd and its procfs directory, both of which stay with that very process. Owned
// by the targets that watch it. Immutable after open(); may be used from any thread.
class Process final : public TargetHandle {
 public:
  // Holds the process `pid`, which may be a kernel's (it just maps nothing). The id of a thread
  // stands for that thread where the kernel can hold one (since 6.9), else for its process. ESRCH
  // when there is none; EINVAL for a number that is no pid.
  static Result<std::shared_ptr<Process>> open(pid_t pid, const Paths& paths);

  [[nodiscard]] pid_t pid() const override { return pid_; }
  [[nodiscard]] int pidfd() const { return pidfd_.get(); }

  // Whether the process exists; a zombie does until it is reaped, as for the kernel's vaddr
  // operations.
  [[nodiscard]] bool exists() const;

  // Opens a file of its procfs directory, e.g. "maps" or "pagemap", close-on-exec. ESRCH once the
  // process is gone, otherwise what open(2) says.
  [[nodiscard]] Result<Fd> open_file(const char* name, int flags) const;

  [[nodiscard]] bool same_as(const TargetHandle& other) const override;

 private:
  Process(pid_t pid, Fd pidfd, Fd directory);

  pid_t pid_;
  Fd pidfd_;
  Fd directory_;
};

}  // namespace damonfs
