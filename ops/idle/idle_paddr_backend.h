// The backend `idle` for physical memory.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "ops/backend/paddr_backend.h"
#include "ops/idle/idle_frame_sweeper.h"
#include "ops/idle/page_idle.h"
#include "ops/pages/kpageflags.h"
#include "ops/procfs/paths.h"

namespace damonfs {

// Notices accesses to page frames by the kernel's bitmap of idle ones, straight: no process is
// looked at, and a page is accessed by whichever process maps it, or by read(2) and write(2) of the
// file it belongs to. Folios are marked by their first frame and counted as one. Frames on no list
// of reclaim (the kernel's, free ones, hugetlbfs, pages just faulted in, holes) are not accessed
// and have a leaf_sz of 0. Otherwise as IdleBackend: who else takes marks, the TLB, the cost.
class IdlePaddrBackend final : public PaddrBackend {
 public:
  // As PageIdle::open().
  static Result<std::unique_ptr<IdlePaddrBackend>> open(const Paths& paths);

  void prepare(std::span<FrameSample> samples) override;
  void check(std::span<FrameSample> samples) override;
  void look(std::span<FrameSample> samples) override;
  void young(std::span<const Folio> folios, std::span<bool> young) override {
    marks_.young(folios, young);
  }
  [[nodiscard]] Sweeper* sweeper() override { return &sweeper_; }
  [[nodiscard]] bool needs_map() const override { return false; }

 private:
  IdlePaddrBackend(PageIdle marks, const Paths& paths)
      : marks_(std::move(marks)), sweeper_(paths) {}

  // Which 2 MiB of frames are one huge page is remembered for a while, to be asked seldom.
  void find_folios(std::span<const FrameSample> samples);
  // Fills the marks with the folios of the samples.
  void fill_marks(std::span<const FrameSample> samples);

  PageIdle marks_;
  IdleFrameSweeper sweeper_;
  std::vector<Folio> folios_;  // parallel to the samples
};

}  // namespace damonfs
