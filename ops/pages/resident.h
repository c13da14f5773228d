// How much of a process's memory is there, by its pagemap.
#pragma once

#include <cstdint>
#include <vector>

#include "core/base/fd.h"
#include "core/base/result.h"
#include "core/ranges.h"
#include "core/region.h"
#include "ops/procfs/process.h"

namespace damonfs {

// Finds pages that are present. Owned by one thread.
class ResidentCounter {
 public:
  // ESRCH when the process has gone, else what open(2) says of its pagemap.
  static Result<ResidentCounter> open(const Process& process);

  // Bytes of `range` whose pages are in memory; 0 once the process's memory has gone. Reads 8 bytes
  // a page, in pieces that hold the memory map for well under a millisecond each: about 3 ns a
  // page.
  [[nodiscard]] uint64_t count(AddrRange range);
  // The parts of `range` whose pages are in memory. The same cost.
  [[nodiscard]] RangeList present(AddrRange range);

 private:
  // Calls fn(number of the first page, entries) for each piece.
  template <class Fn>
  void read(AddrRange range, const Fn& fn);
  explicit ResidentCounter(Fd pagemap) : pagemap_(std::move(pagemap)) {}

  Fd pagemap_;
  std::vector<uint64_t> entries_;
};

}  // namespace damonfs
