// How much of a process's memory is there, by its pagemap.
#pragma once

#include <cstdint>
#include <vector>

#include "core/base/fd.h"
#include "core/base/result.h"
#include "core/region.h"
#include "ops/procfs/process.h"

namespace damonfs {

// Counts pages that are present. Owned by one thread.
class ResidentCounter {
 public:
  // ESRCH when the process has gone, else what open(2) says of its pagemap.
  static Result<ResidentCounter> open(const Process& process);

  // Bytes of `range` whose pages are in memory; 0 once the process's memory has gone. Reads 8 bytes
  // a page, in pieces that hold the memory map for well under a millisecond each: about 3 ns a
  // page.
  [[nodiscard]] uint64_t count(AddrRange range);

 private:
  explicit ResidentCounter(Fd pagemap) : pagemap_(std::move(pagemap)) {}

  Fd pagemap_;
  std::vector<uint64_t> entries_;
};

}  // namespace damonfs
