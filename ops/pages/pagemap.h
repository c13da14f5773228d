// Which page frame lies behind an address of a process, and what the kernel says of it.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <vector>

#include "core/base/fd.h"
#include "core/base/page_size.h"
#include "core/operations.h"
#include "core/target.h"
#include "ops/procfs/process.h"

namespace damonfs {

// One entry of /proc/PID/pagemap (Documentation/admin-guide/mm/pagemap.rst); all zero for an
// address that has none. A value.
struct PagemapEntry {
  uint64_t bits = 0;

  [[nodiscard]] bool present() const { return (bits >> 63 & 1) != 0; }
  // Of a file, or of memory that is shared like one: tmpfs and MAP_SHARED included.
  [[nodiscard]] bool of_file() const { return (bits >> 61 & 1) != 0; }
  // Written to since the process's soft-dirty bits were cleared.
  [[nodiscard]] bool soft_dirty() const { return (bits >> 55 & 1) != 0; }
  // Its page is mapped here and nowhere else.
  [[nodiscard]] bool exclusive() const { return (bits >> 56 & 1) != 0; }
  // Page frame number; 0 when not present, and for everybody without CAP_SYS_ADMIN.
  [[nodiscard]] uint64_t pfn() const { return present() ? bits & ((uint64_t{1} << 55) - 1) : 0; }
};

// Reads pagemap entries of many samples in few system calls. Keeps the pagemap of each process
// among the last samples open. One owner and thread.
class PagemapReader {
 public:
  // The entries of the pages of `samples`, in their order; a process or mapping that is gone has
  // empty ones. Samples that lie near each other (kMaxHole) are read at once. Valid until the next
  // call.
  std::span<const PagemapEntry> read(std::span<const Sample> samples);

  // Whether the last read() has left the target out, because somebody holds its memory map who does
  // not let go (Process::map_is_free()). Its entries are empty.
  [[nodiscard]] bool left_out(const Target* target) const { return left_out_.contains(target); }

 private:
  // An open pagemap. It belongs to the memory that the process had when it was opened, so it ends
  // with an exec: then, and from time to time (of a process that was just forked the memory may be
  // its parent's, which does not end), it is opened anew.
  struct Open {
    std::shared_ptr<TargetHandle> process;
    Fd file;
    unsigned reads_left = 0;
  };
  void read_process(Open& pagemap, std::span<const Sample> samples, PagemapEntry* entries);
  bool read_window(Open& pagemap, uint64_t page, std::span<PagemapEntry> window);

  std::set<const Target*> left_out_;
  std::vector<Open> open_;  // of the last read, in the order of its samples
  std::vector<PagemapEntry> window_;
  std::vector<PagemapEntry> entries_;
};

}  // namespace damonfs
