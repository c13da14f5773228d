// The backend `idle` for physical memory.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/base/result.h"
#include "ops/backend/physical_bits.h"
#include "ops/idle/idle_ages.h"
#include "ops/idle/page_idle.h"
#include "ops/pages/page_frames.h"
#include "ops/procfs/paths.h"

namespace damonfs {

// Notices accesses to page frames by the kernel's bitmap of idle ones, straight: no process is
// looked at, and a page is accessed by whichever process maps it, or by read(2) and write(2) of the
// file it belongs to. Folios are marked by their first frame and counted as one. Frames on no list
// of reclaim (the kernel's, free ones, hugetlbfs, pages just faulted in, holes) are not accessed
// and have a leaf_sz of 0. Otherwise as IdleBackend: who else takes marks, the TLB, the cost.
class IdlePaddrBackend final : public PaddrBackend {
 public:
  // As IdleMarks::open().
  static Result<std::unique_ptr<IdlePaddrBackend>> open(const Paths& paths);

  void prepare(std::span<FrameSample> samples) override;
  void check(std::span<FrameSample> samples) override;
  void look(std::span<FrameSample> samples) override;
  void young(std::span<const Folio> folios, std::span<bool> young) override;
  [[nodiscard]] bool needs_map() const override { return false; }
  [[nodiscard]] std::string_view name() const override { return "idle"; }

 private:
  IdlePaddrBackend(IdleMarks marks, std::unique_ptr<IdleAges> ages, const Paths& paths)
      : marks_(std::move(marks)), ages_(std::move(ages)), frames_(paths) {}

  // Which 2 MiB of frames are one huge page is remembered for a while, to be asked seldom.
  void find_folios(std::span<const FrameSample> samples);
  // Fills the marks with the folios of the samples.
  void fill_marks(std::span<const FrameSample> samples);

  IdleMarks marks_;
  std::unique_ptr<IdleAges> ages_;
  PageFrames frames_;
  uint64_t now_ = 0;                             // sampling intervals
  std::unordered_map<uint64_t, uint64_t> huge_;  // block of frames: until when it is remembered
  std::vector<Folio> folios_;                    // parallel to the samples
};

}  // namespace damonfs
