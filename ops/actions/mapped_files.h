// What a process has mapped from files, and what of it is in memory.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/ranges.h"
#include "ops/procfs/process.h"

namespace damonfs {

// A mapping of a file; of memory that is shared like one (tmpfs, memfd, MAP_SHARED), too. A plain
// value.
struct MappedFile {
  AddrRange range;
  uint64_t offset = 0;  // in the file, of its first byte
  friend bool operator==(const MappedFile&, const MappedFile&) = default;
};

// The file mappings of `process`, ascending, by /proc/PID/maps. Errors as Process::open_file().
[[nodiscard]] Result<std::vector<MappedFile>> read_mapped_files(const Process& process);

// Those in the text of a maps file; lines that are none are left out.
[[nodiscard]] std::vector<MappedFile> parse_mapped_files(std::string_view text);

// Of `pages` (page aligned), which the process has not mapped at present, those that lie in the
// mappings of regular files, have content there and are not in memory: what reading ahead would
// read. Opens the files through /proc/PID/map_files, which takes CAP_CHECKPOINT_RESTORE or
// CAP_SYS_ADMIN; a file that cannot be opened has none.
[[nodiscard]] RangeList find_uncached(const Process& process, std::span<const MappedFile> files,
                                      std::span<const AddrRange> pages);

}  // namespace damonfs
