// Young pages by idle page tracking.
#pragma once

#include <memory>
#include <vector>

#include "core/base/fd.h"
#include "core/base/result.h"
#include "ops/backend/page_ages.h"
#include "ops/pages/page_frames.h"
#include "ops/procfs/paths.h"

namespace damonfs {

// Answers the filter `young` by page_idle/bitmap
// (Documentation/admin-guide/mm/idle_page_tracking.rst): a page is young unless it was marked idle
// and not accessed since. A page that was never marked is young, as in the kernel; so is one that
// cannot be, for it is on no LRU list (just faulted in, or of hugetlbfs). Shares the marks with
// IdleBackend and with the kernel's DAMON. Owned by the operations of one context, on its thread.
class IdleAges final : public YoungTest {
 public:
  // ENOSYS when the kernel has no idle page tracking; else why the bitmap cannot be opened.
  static Result<std::unique_ptr<IdleAges>> open(const Paths& paths);

  void young(const Process& process, std::span<const uint64_t> addrs,
             std::span<bool> young) override;
  // The same for folios, whoever maps them.
  void young_folios(std::span<const Folio> folios, std::span<bool> young);

 private:
  IdleAges(Fd bitmap, const Paths& paths);
  void mark_idle(std::vector<uint64_t> heads);

  Fd bitmap_;
  FrameFile words_;  // the same bitmap, to read
  PageFrames frames_;
};

}  // namespace damonfs
