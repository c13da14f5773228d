// Pages of a process: which are there, and in which page frames.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/base/fd.h"
#include "core/base/result.h"
#include "core/ranges.h"
#include "ops/pages/kpageflags.h"
#include "ops/pages/pagemap.h"
#include "ops/procfs/process.h"

namespace damonfs {

inline const uint64_t kHugePageSize = kHugeFrames * kPageSize;

// What a page of a process can be.
enum class PageState {
  present,  // mapped, to a page that can be acted on: not to the kernel's page of zeros
  written,  // the same, and written to since the process's soft-dirty bits were cleared
  swapped,  // in the swap area
  huge,     // present, and mapped as one with its 2 MiB
};

// The pages of one process at the time of each question. Made for one piece of work, used by one
// thread. For a process that has gone there are no pages. By the ioctl PAGEMAP_SCAN where the
// kernel has it (6.7; 12 ns a page and nothing for holes), else entry by entry (40 ns a page, 2 ns
// one that is not there). More than 1 TiB side by side is not looked at entry by entry, which is
// warned of once: there are no pages.
class ProcessPages {
 public:
  enum class Method { best, entries };

  // `frames` must outlive it; asked for `huge` without PAGEMAP_SCAN. Errors as
  // Process::open_file().
  static Result<ProcessPages> open(const Process& process, Kpageflags& frames,
                                   Method method = Method::best);

  // The pages of `spans` (page aligned) that are in `state`, as few ranges as can be. Ranges of
  // spans that are near each other share a system call. Incomplete when the thread is asked to end.
  [[nodiscard]] RangeList find(PageState state, std::span<const AddrRange> spans);

  // Adds the pages that are in `state` at the front of `span` (page aligned), and returns where it
  // ended: after 65,536 of them, or 8 GiB (entry by entry: 256 MiB). So it holds the memory map for
  // about a millisecond.
  uint64_t find_some(PageState state, AddrRange span, RangeList& found);

  struct Page {
    uint64_t addr;
    PagemapEntry entry;
  };
  // The pages of `spans` that are present, with their entries. Near ones share a system call.
  [[nodiscard]] std::vector<Page> present_pages(std::span<const AddrRange> spans);

 private:
  ProcessPages(Fd file, Kpageflags& frames, Method method);
  // Where it ended; 0 when the kernel does not have PAGEMAP_SCAN.
  uint64_t scan(PageState state, AddrRange span, RangeList& found);
  void look_up(PageState state, AddrRange span, RangeList& found);
  void look_up_huge(AddrRange span, RangeList& found);
  // Entries of all pages of `range`; empty ones where they cannot be read.
  [[nodiscard]] std::vector<PagemapEntry> entries(AddrRange range);

  Fd file_;
  Kpageflags* frames_;
  Method method_;
  uint64_t zero_frame_ = 0;  // of the page of zeros; 0: not known
};

}  // namespace damonfs
