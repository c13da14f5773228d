#include "ops/pte/pte_frame_sweeper.h"

#include <algorithm>
#include <cerrno>

#include "core/base/arithmetic.h"
#include "ops/base/thread_time.h"

namespace damonfs {
namespace {

constexpr uint64_t kEndOfSpace = uint64_t{1} << 56;
constexpr AddrRange kAllFrames{0, uint64_t{1} << 52};

}  // namespace

void PteFrameSweeper::restart(RangeList wanted, SweepMode mode) {
  states_.begin(std::move(wanted));
  mode_ = mode;
  collecting_ = true;
  listed_ = false;
  addr_ = 0;
  nr_tries_ = 0;
  reached_ = 0;
  processes_.clear();
}

bool PteFrameSweeper::list_processes() {
  if (listed_) return true;
  if (keeper_->nr_scans() == 0) return false;
  listed_ = true;
  const auto map = keeper_->map();
  for (const MappingProcess& mapping : map->processes()) {
    if (!mapping.is_protected) processes_.push_back(mapping.process);
  }
  return true;
}

void PteFrameSweeper::begin_pass(std::span<const SweepWish> wishes) {
  RangeList frames;
  for (const SweepWish& wish : wishes) {
    const AddrRange range{align_up(wish.range.start, kPageSize) / kPageSize,
                          wish.range.end / kPageSize};
    if (range.start < range.end) frames.push_back(range);
  }
  // Targets may lie in any order, and overlap.
  std::sort(frames.begin(), frames.end(),
            [](const AddrRange& a, const AddrRange& b) { return a.start < b.start; });
  RangeList wanted;
  for (const AddrRange& range : frames) append_merged(wanted, range);
  begun_ = true;
  restart(std::move(wanted), SweepMode::make_old);
}

bool PteFrameSweeper::collect_some(SweepCost& cost) {
  const auto piece =
      sweeper_->sweep_frames(processes_.back(), {addr_, kEndOfSpace}, mode_, states_);
  uint64_t next = kEndOfSpace;
  if (piece) {
    cost += piece->cost;
    next = piece->next;
  } else if (piece.error().code != ESRCH) {  // it is there, and cannot be looked at
    states_.note_unread();
  }
  if (piece && sweeper_->unread().end != 0) {
    if (++nr_tries_ < kMaxTries) {
      addr_ = sweeper_->unread().start;
      return false;
    }
    states_.note_unread();
  }
  nr_tries_ = 0;
  addr_ = next;
  if (next < kEndOfSpace) return true;
  processes_.pop_back();
  addr_ = 0;
  return true;
}

SweepCost PteFrameSweeper::collect() {
  const uint64_t began = thread_cpu_ns();
  SweepCost cost;
  if (!list_processes()) return cost;
  while (!processes_.empty() && collect_some(cost) && thread_cpu_ns() - began < kMaxPieceNs) {
  }
  collecting_ = !processes_.empty();
  return cost;
}

Result<SweepPiece> PteFrameSweeper::sweep(const Target& /*target*/, AddrRange range, SweepMode mode,
                                          std::vector<SweptRun>& runs) {
  if (mode != mode_ || (!begun_ && range.start < reached_)) restart({kAllFrames}, mode);
  const uint64_t began = thread_cpu_ns();
  SweepPiece piece{.next = range.start};
  if (collecting_) piece.cost = collect();
  if (!collecting_) {
    states_.append_runs(align_up(range.start, kPageSize) / kPageSize, range.end / kPageSize, runs);
    piece.next = reached_ = range.end;
  }
  piece.cost.cpu_ns = thread_cpu_ns() - began;
  return piece;
}

}  // namespace damonfs
