#include "ops/synthetic/synthetic_sweeper.h"

#include <algorithm>
#include <iterator>

#include "core/base/arithmetic.h"
#include "core/base/page_size.h"
#include "core/ranges.h"
#include "core/target.h"
#include "ops/synthetic/synthetic_process.h"

namespace damonfs {
namespace {

constexpr uint64_t kPopulatedUnit = uint64_t{2} << 20;
constexpr uint64_t kDrawsAPiece = 1 << 16;
constexpr uint64_t kReadNs = 2;       // a page
constexpr uint64_t kMakeOldNs = 100;  // a page

}  // namespace

void SyntheticSweeper::set_time(Times& times, AddrRange range, uint64_t now_ns) {
  const auto after = times.upper_bound(range.end);
  const uint64_t behind = after == times.begin() ? 0 : std::prev(after)->second;
  times.erase(times.lower_bound(range.start), after);
  times[range.start] = now_ns;
  times[range.end] = behind;
}

uint64_t SyntheticSweeper::add(const Leaves& leaves, uint64_t& draws_left, SweepPiece& piece,
                               std::vector<SweptRun>& runs) const {
  const auto append = [&](AddrRange range, bool accessed) {
    const uint64_t count = range.size() / leaves.leaf_sz;
    piece.cost.pages_read += count;
    if (leaves.unknown) return append_joined(runs, {range, AccessState::unknown});
    append_joined(runs, {range, accessed ? AccessState::accessed : AccessState::not_accessed});
    if (accessed) piece.cost.pages_made_old += count;
  };
  constexpr double kCertain = 1 - 1e-12;
  if (leaves.out == 0 && (leaves.chance == 0 || leaves.chance >= kCertain)) {
    append(leaves.range, leaves.chance > 0);
    return leaves.range.end;
  }
  uint64_t at = leaves.range.start;
  for (; at < leaves.range.end && draws_left > 0; at += leaves.leaf_sz, --draws_left) {
    const bool accessed = leaves.chance > 0 &&
                          play_->run().draw_of_page(
                              leaves.pid, at ^ leaves.now_ns * 0x9e3779b97f4a7c15) < leaves.chance;
    // What was accessed has come back.
    if (!accessed && play_->run().draw_of_page(leaves.pid, at) < leaves.out) continue;
    append({at, at + leaves.leaf_sz}, accessed);
  }
  return at;
}

Result<std::vector<AddrRange>> SyntheticSweeper::populated(const Target& target) {
  const auto& process = static_cast<const SyntheticProcess&>(*target.handle);
  play_->settle();
  RangeList found;
  const AddrRange everything{0, UINT64_MAX};
  play_->machine().residency(process.pid()).visit(everything, [&](const Residency::Piece& piece) {
    if (piece.out >= 1) return;
    append_merged(found, {align_down(piece.range.start, kPopulatedUnit),
                          align_up(piece.range.end, kPopulatedUnit)});
  });
  return found;
}

Result<SweepPiece> SyntheticSweeper::sweep(const Target& target, AddrRange range, SweepMode mode,
                                           std::vector<SweptRun>& runs) {
  return sweep_process(target.handle->pid(), range, mode, runs);
}

SweepPiece SyntheticSweeper::sweep_process(pid_t pid, AddrRange range, SweepMode mode,
                                           std::vector<SweptRun>& runs) {
  const SyntheticActions::Now now = play_->settle();
  Residency& memory = play_->machine().residency(pid);
  Times& times = times_.try_emplace(pid, Times{{0, 0}}).first->second;
  uint64_t draws_left = kDrawsAPiece;
  SweepPiece piece{.next = range.end};
  bool stopped = false;
  memory.visit(range, [&](const Residency::Piece& part) {
    if (stopped) return;
    const uint64_t leaf_sz = part.mapping->leaf_sz;
    uint64_t at = align_up(part.range.start, leaf_sz);
    const uint64_t end = align_up(part.range.end, leaf_sz);
    while (at < end) {
      const auto later = times.upper_bound(at);
      const uint64_t until =
          later == times.end() ? end : std::min(end, align_up(later->first, leaf_sz));
      const uint64_t from = std::min(std::prev(later)->second, now.ns);
      const double chance = from < now.ns ? memory.chance(part, from, now.ns, now.interval_ns) : 0;
      const uint64_t reached =
          add({pid, {at, until}, leaf_sz, part.out, chance, now.ns, part.mapping->unknown},
              draws_left, piece, runs);
      piece.next = std::max(piece.next, reached);
      at = reached;
      if (reached == until) continue;
      piece.next = reached;
      stopped = true;
      return;
    }
  });
  if (mode == SweepMode::make_old)
    set_time(times, {range.start, piece.next}, now.ns);
  else
    piece.cost.pages_made_old = 0;
  piece.cost.cpu_ns = kReadNs * piece.cost.pages_read + kMakeOldNs * piece.cost.pages_made_old;
  return piece;
}

}  // namespace damonfs
