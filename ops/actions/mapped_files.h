// What of the files that a process has mapped is in memory.
#pragma once

#include <span>

#include "core/ranges.h"
#include "ops/procfs/maps.h"
#include "ops/procfs/process.h"

namespace damonfs {

// Of `pages` (page aligned), which the process has not mapped at present, those that lie in the
// mappings of regular files, have content there and are not in memory: what reading ahead would
// read. Opens the files through /proc/PID/map_files, which takes CAP_CHECKPOINT_RESTORE or
// CAP_SYS_ADMIN; a file that cannot be opened has none.
[[nodiscard]] RangeList find_uncached(const Process& process, std::span<const MappedFile> files,
                                      std::span<const AddrRange> pages);

}  // namespace damonfs
