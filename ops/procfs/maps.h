// What a process has mapped.
#pragma once

#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/region.h"
#include "ops/procfs/process.h"

namespace damonfs {

// The mappings in `text`, which is of the format of /proc/PID/maps (man proc_pid_maps), in bytes,
// ascending and not overlapping. Lines of the kernel's half of the address space ("[vsyscall]"),
// which is no part of a process's memory, are left out; so is what a mapping that changed while the
// file was read repeats. EINVAL for a line of another format, naming it.
[[nodiscard]] Result<std::vector<AddrRange>> parse_maps(std::string_view text);

// The mappings of `process` as they are now; none for a kernel thread and for a zombie. ESRCH when
// it is gone, otherwise what open(2) and read(2) say. Takes 1 to 2 us a mapping, and as long as
// others hold the memory map: whoever may not wait asks KnownMappings.
[[nodiscard]] Result<std::vector<AddrRange>> read_maps(const Process& process);

// What a process has mapped. A value; both ascend and do not overlap.
struct Mapped {
  std::vector<AddrRange> all;
  std::vector<AddrRange> files;  // of these, those of files, joined where they touch
};

// The same with what of them are mappings of files, for whoever wants both. Errors as read_maps().
[[nodiscard]] Result<Mapped> read_mapped(const Process& process);

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

}  // namespace damonfs
