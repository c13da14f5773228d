// What the memory of a process is: what each mapping shares with others, and how much of each kind
// of page is resident.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/region.h"
#include "core/target.h"
#include "services/memory_names.h"

namespace damonfs {

// What a page belongs to, as the kernel counts what is resident. `shmem`: tmpfs, memfd, System V
// and shared anonymous memory.
enum class PageKind : uint8_t { anon, file, shmem };
inline constexpr size_t kNrPageKinds = 3;

// One mapping, without its name. A plain value.
struct ProcessMapping {
  AddrRange range;
  PageKind kind = PageKind::anon;
  // What is mapped; 0 for anonymous memory. Mappings of the same device and inode share pages.
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t offset = 0;  // in the file, of the first byte

  static ProcessMapping of(const NamedMapping& mapping);
  friend bool operator==(const ProcessMapping&, const ProcessMapping&) = default;
};

// What a process uses. Bytes that are resident, by kind. A plain value.
struct ProcessUsage {
  std::string comm;  // raw bytes
  uint64_t anon = 0;
  uint64_t file = 0;
  uint64_t shmem = 0;
  uint64_t major_faults = 0;  // since it began: pages that had to be read from a disk or from swap

  [[nodiscard]] uint64_t resident(PageKind kind) const {
    return kind == PageKind::anon ? anon : kind == PageKind::file ? file : shmem;
  }
};

// Reads processes that are held by targets. A value; its functions are thread-safe. They fail with
// ENOTSUP for a target that is no process of this machine, ESRCH for one that has gone, otherwise
// with what open(2) and read(2) say.
struct ProcessReader {
  std::function<Result<ProcessUsage>(const TargetHandle&)> usage;  // takes no lock of its memory
  std::function<Result<std::vector<ProcessMapping>>(const TargetHandle&)> mappings;
};

// The one that reads procfs.
[[nodiscard]] ProcessReader procfs_reader();

}  // namespace damonfs
