// From page frames back to the processes that map them: what the kernel's paddr knows by its own
// reverse mappings, and a program outside has to collect from page tables.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/base/page_size.h"
#include "ops/procfs/process.h"

namespace damonfs {

// Frames that lie side by side, mapped side by side by one process. 16 bytes. A value.
struct MappedRun {
  uint64_t frame : 40;     // the first; numbers up to 4 PiB of memory
  uint64_t nr_pages : 24;  // one at least
  uint64_t page : 45;      // virtual address of the first, in pages
  uint64_t process : 19;   // index into ReverseMap::processes()

  // What does not fit is cut off.
  static MappedRun of(uint64_t first_frame, uint64_t pages, uint64_t first_page, uint64_t index) {
    return {.frame = first_frame & ((uint64_t{1} << 40) - 1),
            .nr_pages = pages & ((uint64_t{1} << 24) - 1),
            .page = first_page & ((uint64_t{1} << 45) - 1),
            .process = index & ((uint64_t{1} << 19) - 1)};
  }
  [[nodiscard]] uint64_t end() const { return uint64_t{frame} + nr_pages; }
};
static_assert(sizeof(MappedRun) == 16);

// A process that maps pages. `is_protected`: nothing may be done to any page that it maps. A value.
struct MappingProcess {
  std::shared_ptr<const Process> process;
  bool is_protected = false;
};

// The mappings of all page frames at (about) one time. Immutable once made, any thread.
//
// Memory: 16 bytes a run, and runs end at multiples of 512 frames. So between 8 KiB for each GiB
// that is mapped (all in huge pages) and 4 MiB (no two small pages side by side, 0.4%); a page that
// several processes map counts for each.
class ReverseMap {
 public:
  static constexpr uint64_t kBlock = 512;  // frames; a run lies in one aligned block
  static constexpr size_t kMaxProcesses = size_t{1} << 19;

  ReverseMap() = default;
  // `runs` in any order, each in one block. They name `processes` by their index.
  ReverseMap(std::vector<MappedRun> runs, std::vector<MappingProcess> processes);

  [[nodiscard]] const std::vector<MappingProcess>& processes() const { return processes_; }
  [[nodiscard]] size_t nr_runs() const { return runs_.size(); }
  [[nodiscard]] uint64_t bytes() const {
    return runs_.capacity() * sizeof(MappedRun) + processes_.capacity() * sizeof(MappingProcess);
  }

  // Calls seen(process index, frame, virtual address in bytes) for each mapping of each of the
  // frames [first, last), by blocks; within one in no order that means anything.
  template <class Seen>
  void each_mapping(uint64_t first, uint64_t last, const Seen& seen) const {
    for (auto run = block_of(first); run != runs_.end() && run->frame < last; ++run) {
      const uint64_t begin = std::max<uint64_t>(run->frame, first);
      const uint64_t end = std::min<uint64_t>(run->end(), last);
      for (uint64_t frame = begin; frame < end; ++frame) {
        seen(static_cast<uint32_t>(run->process), frame,
             (run->page + (frame - run->frame)) * kPageSize);
      }
    }
  }

 private:
  // The first run of the block that holds `frame`.
  [[nodiscard]] std::vector<MappedRun>::const_iterator block_of(uint64_t frame) const;

  std::vector<MappedRun> runs_;  // ascending by frame
  std::vector<MappingProcess> processes_;
};

}  // namespace damonfs
