// The process that a command was told to look at.
#pragma once

#include <memory>

#include "core/base/result.h"
#include "ops/procfs/process.h"

namespace damonfs {

// Holds the process `pid`. ESRCH with what to do when there is none, or it is a zombie; EINVAL for
// a thread of the kernel and for this process itself: there is nothing to be looked at.
[[nodiscard]] Result<std::shared_ptr<Process>> open_watchable(pid_t pid);

}  // namespace damonfs
