// What the memory of a process is called: files, the heap, stacks of threads, named anonymous
// memory, shared memory, code that was made at run time.
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/result.h"
#include "core/region.h"
#include "ops/procfs/paths.h"

namespace damonfs {

// The kinds of memory that reports tell apart.
enum class MemoryKind : uint8_t {
  file,    // of a file on a disk
  heap,    // [heap]
  stack,   // of a thread
  anon,    // other anonymous memory of its own, named ([anon:NAME]) or not
  shared,  // memory that processes share: memfd, shm, System V, shared anonymous
  jit,     // code that was made at run time: anonymous and executable
  other,   // of the kernel: [vdso], [vvar], devices
};
[[nodiscard]] std::string_view word_of(MemoryKind kind);

// What pages of mappings are the same: the same file, so that they are counted once. A value; none
// for memory that is a process's own.
struct MemoryIdentity {
  uint64_t device = 0;
  uint64_t inode = 0;

  [[nodiscard]] bool any() const { return inode != 0; }
  friend auto operator<=>(const MemoryIdentity&,
                          const MemoryIdentity&) = default;  // NOLINT: no null
};

// One mapping. A value.
struct NamedMapping {
  AddrRange range;
  uint64_t offset = 0;  // in the file, of its first byte
  MemoryIdentity file;  // of the file; none for anonymous memory
  MemoryKind kind = MemoryKind::anon;
  bool readable = false;
  bool writable = false;
  bool executable = false;
  bool shared = false;  // MAP_SHARED
  pid_t thread = 0;     // whose stack it is, by the number of the thread; else 0
  // Raw bytes, to be escaped where they are printed (services/escape.h): the path of a file as the
  // kernel has it ("/path (deleted)" of one that is gone), memfd:NAME, [heap], [stack],
  // [stack:TID], [anon:NAME], [anon], [shared anon], [jit], [vdso], ...
  std::string name;

  // Whether another process that maps the same bytes of the file has the very same pages: shared
  // memory, or a file that cannot be written to through this mapping.
  [[nodiscard]] bool counted_once() const { return file.any() && (shared || !writable); }

  friend bool operator==(const NamedMapping&, const NamedMapping&) = default;
};

// The mappings in text of the format of /proc/PID/maps, ascending; without those of the kernel's
// half. EINVAL for a line of another format, naming it. Stacks of threads are not known there.
[[nodiscard]] Result<std::vector<NamedMapping>> parse_named_mappings(std::string_view text);

// The names of the memory of one process, kept up to date by update(). Owned by one thread.
class MemoryNames {
 public:
  // `directory`: of the process in procfs, such as /proc/17. Nothing is read yet.
  MemoryNames(pid_t pid, std::string directory) : pid_(pid), directory_(std::move(directory)) {}
  explicit MemoryNames(pid_t pid, const Paths& paths = {});

  [[nodiscard]] pid_t pid() const { return pid_; }
  // Of the process in procfs.
  [[nodiscard]] const std::string& directory() const { return directory_; }
  // Raw bytes, as of the last update().
  [[nodiscard]] const std::string& comm() const { return comm_; }

  // Reads mappings, name and threads anew. A thread's stack is the mapping that its stack pointer
  // is in, which the kernel tells of a thread that waits; what was found stays as long as thread
  // and mapping do. ESRCH when the process has gone, EACCES or EPERM when its memory is not to be
  // read; what was known stays then. Cost: one read a 4 KiB of maps, and one a thread.
  Result<void> update();

  // Where the file of `mapping` can be opened, also one that is deleted or in another mount
  // namespace: a link in procfs. That takes CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE.
  [[nodiscard]] std::string file_of(const NamedMapping& mapping) const;

  [[nodiscard]] const std::vector<NamedMapping>& mappings() const { return mappings_; }
  // The mapping at `address`; null for none.
  [[nodiscard]] const NamedMapping* at(uint64_t address) const;
  // Calls fn(mapping, part) for the part of `range` in each mapping it touches, ascending; what is
  // not mapped is left out.
  template <class Fn>
  void for_each_in(AddrRange range, const Fn& fn) const {
    for (size_t i = first_from(range.start); i < mappings_.size(); ++i) {
      const NamedMapping& mapping = mappings_[i];
      if (mapping.range.start >= range.end) return;
      const AddrRange part{std::max(mapping.range.start, range.start),
                           std::min(mapping.range.end, range.end)};
      if (part.start < part.end) fn(mapping, part);
    }
  }

 private:
  // The number of the first mapping that ends above `address`.
  [[nodiscard]] size_t first_from(uint64_t address) const;
  void find_stacks();

  pid_t pid_;
  std::string directory_;
  std::string comm_;
  std::vector<NamedMapping> mappings_;
  std::map<pid_t, uint64_t> stacks_;  // thread to an address in its stack
};

}  // namespace damonfs
