// The accessed bit of single pages, as the filter `young` asks for it.
#pragma once

#include <cstdint>
#include <span>

#include "ops/procfs/process.h"

namespace damonfs {

// Tells young pages from old ones, by the same bits as the monitoring: what a sample has made old
// counts as old here, until it is accessed again. To be provided by a backend that can read an
// accessed bit at any time (pte: the entry; idle: page_idle/bitmap), as VaddrBackend itself only
// knows of accesses between its prepare() and check(). Used on the kdamond's thread.
class YoungTest {
 public:
  virtual ~YoungTest() = default;

  // Sets young[i] to whether the page at addrs[i] (ascending, page aligned) was accessed since it
  // was last made old, and then makes those that were old: all are looked at before any is
  // changed, since several may share one bit. A page that is not there is not young.
  virtual void young(const Process& process, std::span<const uint64_t> addrs,
                     std::span<bool> young) = 0;
};

}  // namespace damonfs
