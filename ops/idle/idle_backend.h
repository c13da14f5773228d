// Accesses by idle page tracking.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "ops/backend/vaddr_backend.h"
#include "ops/backend/young_test.h"
#include "ops/idle/idle_sweeper.h"
#include "ops/idle/page_idle.h"
#include "ops/pages/pagemap.h"
#include "ops/procfs/device_access.h"
#include "ops/procfs/paths.h"
#include "ops/pte/pte_reader.h"

namespace damonfs {

// Notices accesses by the kernel's bitmap of idle page frames (CONFIG_IDLE_PAGE_TRACKING;
// Documentation/admin-guide/mm/idle_page_tracking.rst): prepare() looks up the frame behind each
// sample and marks it idle, check() reads whether it still is. A frame that several processes share
// is accessed when any of them accesses it; a huge page counts as a whole. What a user has to know:
//  - Only pages on reclaim's lists can be marked; others (hugetlbfs, the zero page, pages just
//    faulted in) count as not accessed.
//  - A large folio that is no huge page (file caches, mTHP) is known as such only once a sample
//    within its 2 MiB of memory was taken for accessed; that one sample counts as not accessed.
//  - Others that use the bitmap, and the kernel's own DAMON, take each other's accesses away.
//  - Marking does not flush the TLB, as the kernel's DAMON does not: a process that never sleeps
//    nor touches much memory may keep a translation and look idle.
// Cost: three system calls a sample (pagemap, bitmap, and bitmap or kpageflags), a little less
// where samples lie close by. The bitmap is read by 64 frames, and the kernel looks up the mappings
// of each idle one among them: over small pages that all stay idle, which cold memory comes to
// soon, a check by it takes more than ten times as long as the rest. So it is asked only of frames
// that other processes map, too, or devices and guests access (device_access.h), if page-table
// entries can be read: else the entry, whose accessed
// bit the marking has cleared, and the frame's idle flag say the same. Same ownership and thread
// rule as VaddrBackend.
class IdleBackend final : public VaddrBackend, public YoungTest {
 public:
  // ENOSYS when the kernel has no idle page tracking; EACCES and the like when its files cannot be
  // opened.
  // `read_entries`: may be empty; then the bitmap is asked of every frame.
  static Result<std::unique_ptr<IdleBackend>> open(const Paths& paths, PteReader read_entries);

  void prepare(std::span<Sample> samples) override;
  void check(std::span<Sample> samples) override;
  void look(std::span<Sample> samples) override;
  [[nodiscard]] YoungTest* young_test() override { return this; }
  [[nodiscard]] Sweeper* sweeper() override { return &sweeper_; }

  // As PageIdle::young() of the folios that the pages are in.
  void young(const Process& process, std::span<const uint64_t> addrs,
             std::span<bool> young) override;

 private:
  IdleBackend(PageIdle marks, const Paths& paths, PteReader read_entries)
      : marks_(std::move(marks)), sweeper_(paths), read_entries_(std::move(read_entries)) {}
  // Fills the marks with the frames behind the samples.
  void find_frames(std::span<const Sample> samples);
  void ask_entries(std::span<Sample> samples);
  void settle(Sample& sample, size_t mark, bool idle);

  PageIdle marks_;  // parallel to the samples
  IdleSweeper sweeper_;
  PteReader read_entries_;
  std::vector<bool> exclusive_;     // parallel to the samples: mapped once
  std::vector<PageEntry> entries_;  // kept for its memory
  PagemapReader pagemap_;
  DeviceAccess devices_;
};

}  // namespace damonfs
