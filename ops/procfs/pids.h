// Which processes there are.
#pragma once

#include <sys/types.h>

#include <vector>

#include "core/base/result.h"
#include "ops/procfs/paths.h"

namespace damonfs {

// The numbers of all processes that procfs shows, in its order. What readdir(3) says, with the
// directory.
[[nodiscard]] Result<std::vector<pid_t>> all_pids(const Paths& paths);

}  // namespace damonfs
