// How much memory this process may still take.
#pragma once

#include <cstdint>

#include "ops/procfs/paths.h"

namespace damonfs {

// Bytes: what the machine has available (MemAvailable of /proc/meminfo), and what the memory
// cgroups (version 2) that this process is in have left below their memory.max, whichever is the
// least. What cannot be read is no limit. Any thread.
[[nodiscard]] uint64_t free_memory(const Paths& paths);

}  // namespace damonfs
