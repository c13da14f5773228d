// `damonfs watch`: shows the heat of a process's memory over time. A client of the tree like any
// other: what it knows of accesses it has read from files.
//
// run_watch() itself is declared in fs/command/commands.h, with the other commands.
#pragma once

#include "core/base/result.h"
#include "fs/command/commands.h"

namespace damonfs {

// EINVAL with a sentence for options that do not go together.
[[nodiscard]] Result<void> check_watch_options(const WatchOptions& options);

}  // namespace damonfs
