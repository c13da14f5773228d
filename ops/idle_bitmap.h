// Accesses by idle page tracking.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "core/fd.h"
#include "core/result.h"
#include "ops/accessed_bits.h"
#include "ops/page_flags.h"
#include "ops/pagemap.h"
#include "ops/paths.h"

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
// Cost: three system calls a sample (pagemap, bitmap, bitmap), a little less where samples lie
// close by, one more for an accessed one (kpageflags). The bitmap is read by 64 frames, and the
// kernel looks up the mappings of each idle one among them: over small pages that all stay idle,
// which cold memory comes to after some time, a check is dear. Measured in the lab (6.12, emulated)
// the calls for a sample take 11 us at first and 49 us then, 9 us over huge pages; the kernel's
// DAMON took 2 us. Same ownership and thread rule as AccessedBits.
class IdleBitmap final : public AccessedBits {
 public:
  // ENOSYS when the kernel has no idle page tracking; EACCES and the like when its files cannot be
  // opened.
  static Result<std::unique_ptr<IdleBitmap>> open(const Paths& paths);

  void prepare(std::span<Sample> samples) override;
  void check(std::span<Sample> samples) override;
  void look(std::span<Sample> samples) override;
  [[nodiscard]] std::string_view name() const override { return "idle"; }

 private:
  // What prepare() did for a sample.
  struct Mark {
    uint64_t pfn = 0;  // frame behind it
    PageFlags::Folio folio;
  };
  // Samples whose marks lie in adjoining words of the bitmap: by_frame_[first, end).
  struct Run {
    size_t first;
    size_t end;
    uint64_t word;  // the first of words_
  };

  IdleBitmap(Fd bitmap, PageFlags flags);
  // Fills marks_ and by_frame_ with the frames behind the samples.
  void find_frames(std::span<const Sample> samples);
  void sort_by_frame();
  // The run that starts at by_frame_[first]; makes words_ as long as it is, all zero.
  Run next_run(size_t first, uint64_t max_hole);
  [[nodiscard]] uint64_t frame(size_t at) const { return marks_[by_frame_[at]].folio.head; }
  void check_one(Sample& sample, const Mark& mark, bool idle);

  Fd bitmap_;
  PageFlags flags_;
  PagemapReader pagemap_;
  std::vector<Mark> marks_;         // parallel to the samples
  std::vector<uint32_t> by_frame_;  // samples that were marked, in the order of their frames
  std::vector<uint64_t> words_;     // of the bitmap, of one run
};

}  // namespace damonfs
