#include "ops/idle/idle_frame_sweeper.h"

#include <algorithm>
#include <cstring>

#include "ops/base/thread_time.h"

namespace damonfs {

Result<> IdleFrameSweeper::open() {
  if (marks_) return {};
  auto marks = PageIdle::open(paths_);
  if (!marks) return tl::unexpected(marks.error());
  marks_.emplace(*std::move(marks));
  return {};
}

Result<uint64_t> IdleFrameSweeper::sweep_frames(uint64_t first, uint64_t last, SweepMode mode,
                                                std::vector<SweptRun>& runs, SweepCost& cost) {
  folios_.clear();
  if (const int error = marks_->flags().folios_in(first, last, folios_); error != 0)
    return fail(error, "{}/kpageflags: {}", paths_.proc, std::strerror(error));
  const std::span<PageIdle::Mark> marks = marks_->renew(folios_.size());
  states_.assign(folios_.size(), AccessState::unknown);
  for (size_t i = 0; i < folios_.size(); ++i) {
    if (folios_[i].on_lru()) marks[i] = {folios_[i].head, folios_[i]};
  }
  marks_->take();
  marks_->read([&](size_t i, bool idle) {
    states_[i] = idle ? AccessState::not_accessed : AccessState::accessed;
    if (idle) marks[i].pfn = 0;  // it needs no mark
  });
  uint64_t end = last;
  for (size_t i = 0; i < folios_.size(); ++i) {
    const Folio& folio = folios_[i];
    const bool mapped = (folio.flags & frame_flags::kMapped) != 0;
    if (!folio.on_lru() && !mapped) continue;  // nobody's
    const uint64_t behind = folio.head + folio.nr_pages;
    append_joined(runs, {{folio.head * kPageSize, behind * kPageSize}, states_[i]});
    ++cost.pages_read;
    if (states_[i] == AccessState::accessed && mode == SweepMode::make_old) ++cost.pages_made_old;
    end = std::max(end, behind);
  }
  if (mode == SweepMode::make_old) marks_->set();
  return end;
}

Result<SweepPiece> IdleFrameSweeper::sweep(const Target& /*target*/, AddrRange range,
                                           SweepMode mode, std::vector<SweptRun>& runs) {
  const uint64_t began = thread_cpu_ns();
  if (auto opened = open(); !opened) return tl::unexpected(opened.error());
  if (end_ == 0 || range.start < reached_) end_ = marks_->flags().end();
  SweepPiece piece;
  uint64_t frame = range.start / kPageSize;
  const uint64_t last = std::min(range.end / kPageSize, end_);
  while (frame < last) {
    const auto behind =
        sweep_frames(frame, std::min(frame + kFramesAtOnce, last), mode, runs, piece.cost);
    if (!behind) return tl::unexpected(behind.error());
    frame = *behind;
    if (thread_cpu_ns() - began >= kMaxPieceNs) break;
  }
  piece.next = frame < last ? frame * kPageSize : std::max(range.end, frame * kPageSize);
  reached_ = piece.next;
  piece.cost.cpu_ns = thread_cpu_ns() - began;
  return piece;
}

}  // namespace damonfs
