#include "ops/pte/block_ager.h"

#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "core/base/page_size.h"
#include "ops/actions/advise.h"
#include "ops/base/thread_time.h"

namespace damonfs {
namespace {

// Measured in units of 100 ns, the price of one young page among many.
constexpr uint64_t kUnitsOfRange = 4;
constexpr uint64_t kUnitsOfHugeLeaf = 16;
// One call is to hold the memory map this long at most.
constexpr double kMaxHoldNs = 400000;
constexpr double kMinUnits = 64;
constexpr double kMaxUnits = 4096;

uint64_t units_of(unsigned shift, uint64_t ranges, uint64_t leaves) {
  return shift == kPageSize.shift() ? kUnitsOfRange * ranges + leaves : kUnitsOfHugeLeaf * leaves;
}

bool advisable(const pte_slot& slot) {
  return slot.ageing == PTE_AGE_COLD || slot.ageing == PTE_AGE_MAYBE;
}

// Stretches `range` so that it holds all of the folio that has to be advised with the slot's page.
void hold_folio(AddrRange& range, const pte_slot& slot) {
  if (slot.pages == 0) return;
  const uint64_t start = (slot.addr & ~(kPageSize - 1)) - uint64_t{slot.before} * kPageSize;
  range.start = std::min(range.start, start);
  range.end = std::max(range.end, start + uint64_t{slot.pages} * kPageSize);
}

void spare(LeafBlock& block, const pte_slot& slot, unsigned leaf) {
  if (slot.ageing == PTE_AGE_WHOLE) return block.whole.set(leaf);
  block.unknown.set(leaf);
  block.stuck.set(leaf);
}

// Has the processor that we run on put the pages that it was to move between the LRU lists where
// they belong. The advice spares pages that are on none; it begins with just this, for all pages
// of the processor.
void drain_lru_batches() {
  static void* const page =
      ::mmap(nullptr, kPageSize, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ::madvise(page, kPageSize, MADV_COLD);
}

}  // namespace

uint64_t BlockAger::units(const LeafBlock& block) {
  const EntrySet wanted = block.to_make_old();
  return units_of(block.shift, wanted.any() ? 1 : 0, wanted.count());
}

uint64_t BlockAger::units(const Range& range) const {
  return units_of(blocks_[range.block].shift, 1, range.end - range.first);
}

Result<> BlockAger::make_old(AddressSpace& space, std::span<LeafBlock> blocks,
                             const ReadAgain& read_again, SweepCost& cost) {
  space_ = &space;
  blocks_ = blocks;
  collect();
  check_edges();
  for (const bool last : {false, true}) {
    if (ranges_.empty()) break;
    if (auto advised = advise(cost); !advised) {
      if (advised.error().code != kMapNotFree) return advised;
      return give_up();
    }
    drain_lru_batches();
    const auto again = read_again();
    if (!again) return tl::unexpected(again.error());
    settle(*again, last);
  }
  for (const LeafBlock& block : blocks_) cost.pages_made_old += block.to_make_old().count();
  return {};
}

Result<> BlockAger::give_up() {
  for (const Range& range : ranges_) {
    for (unsigned leaf = range.first; leaf < range.end; ++leaf)
      blocks_[range.block].unknown.set(leaf);
  }
  return {};
}

void BlockAger::collect() {
  ranges_.clear();
  for (size_t i = 0; i < blocks_.size(); ++i) {
    const EntrySet wanted = blocks_[i].to_make_old();
    for (unsigned first = wanted.next_set(0); first < EntrySet::kSize;) {
      const unsigned end = wanted.next_clear(first);
      ranges_.push_back({i, first, end, blocks_[i].range_of(first, end)});
      first = wanted.next_set(end);
    }
  }
}

void BlockAger::ask(const std::vector<LeafQuery>& leaves,
                    const std::function<void(const LeafQuery&, const pte_slot&)>& seen) {
  queries_.clear();
  for (const LeafQuery& query : leaves)
    queries_.push_back({space_, blocks_[ranges_[query.range].block].addr_of(query.leaf)});
  clearer_->look(queries_, true, [&](size_t i, const pte_slot& slot) { seen(leaves[i], slot); });
}

void BlockAger::check_edges() {
  leaves_.clear();
  for (size_t i = 0; i < ranges_.size(); ++i) {
    leaves_.push_back({i, ranges_[i].first});
    if (ranges_[i].end - ranges_[i].first > 1) leaves_.push_back({i, ranges_[i].end - 1});
  }
  std::vector<bool> odd(ranges_.size(), false);
  bool any_odd = false;
  ask(leaves_, [&](const LeafQuery& query, const pte_slot& slot) {
    if (!is_young(slot)) return;
    if (advisable(slot))
      hold_folio(ranges_[query.range].extent, slot);
    else
      any_odd = odd[query.range] = true;
  });
  if (any_odd) check_all(odd);
}

void BlockAger::check_all(const std::vector<bool>& odd) {
  leaves_.clear();
  next_ranges_.clear();
  for (size_t i = 0; i < ranges_.size(); ++i) {
    if (!odd[i]) {
      next_ranges_.push_back(ranges_[i]);
      continue;
    }
    for (unsigned leaf = ranges_[i].first; leaf < ranges_[i].end; ++leaf)
      leaves_.push_back({i, leaf});
  }
  ask(leaves_, [&](const LeafQuery& query, const pte_slot& slot) {
    const size_t number = ranges_[query.range].block;
    LeafBlock& block = blocks_[number];
    if (!is_young(slot)) return;
    if (!advisable(slot)) return spare(block, slot, query.leaf);
    Range range{number, query.leaf, query.leaf + 1, block.range_of(query.leaf, query.leaf + 1)};
    hold_folio(range.extent, slot);
    next_ranges_.push_back(range);
  });
  std::sort(next_ranges_.begin(), next_ranges_.end(), [](const Range& a, const Range& b) {
    return std::pair(a.block, a.first) < std::pair(b.block, b.first);
  });
  ranges_.clear();
  for (const Range& range : next_ranges_) {
    Range* before = ranges_.empty() ? nullptr : &ranges_.back();
    if (before != nullptr && before->block == range.block && before->end == range.first) {
      before->end = range.end;
      before->extent.end = std::max(before->extent.end, range.extent.end);
    } else {
      ranges_.push_back(range);
    }
  }
}

Result<> BlockAger::advise(SweepCost& cost) {
  const double max_units = std::clamp(kMaxHoldNs / ns_a_unit_, kMinUnits, kMaxUnits);
  for (size_t first = 0; first < ranges_.size();) {
    size_t end = first;
    double sum = 0;
    while (end < ranges_.size() && (end == first || sum <= max_units))
      sum += static_cast<double>(units(ranges_[end++]));
    const uint64_t began = thread_cpu_ns();
    auto advised = advise_batch(std::span(ranges_).subspan(first, end - first), cost);
    if (!advised) return advised;
    if (sum >= kMinUnits) {
      const double ns = static_cast<double>(thread_cpu_ns() - began) / sum;
      ns_a_unit_ += (ns - ns_a_unit_) / (ns > ns_a_unit_ ? 2 : 8);
    }
    first = end;
  }
  return {};
}

Result<> BlockAger::advise_batch(std::span<Range> ranges, SweepCost& cost) {
  pieces_.clear();
  piece_leaves_.clear();
  piece_of_.clear();
  for (const Range& range : ranges) {
    const AddrRange extent = range.extent;
    const Leaves leaves = leaves_of(blocks_[range.block].shift);
    iovec* before = pieces_.empty() ? nullptr : &pieces_.back();
    const uint64_t reached =
        before != nullptr ? reinterpret_cast<uint64_t>(before->iov_base) + before->iov_len : 0;
    if (before != nullptr && extent.start < reached) {
      if (extent.end > reached) before->iov_len += extent.end - reached;
      if (leaves == Leaves::small) piece_leaves_.back() = leaves;
    } else {
      pieces_.push_back({reinterpret_cast<void*>(extent.start), extent.size()});
      piece_leaves_.push_back(leaves);
    }
    piece_of_.push_back(pieces_.size() - 1);
  }
  const AdviseCall call = clearer_->cold_advice(*space_);
  const auto timed = [&](std::span<const iovec> pieces) {
    const uint64_t began = wall_ns();
    auto done = call(pieces);
    cost.max_hold_ns = std::max(cost.max_hold_ns, wall_ns() - began);
    return done;
  };
  if (auto advised = advise_cold(pieces_, timed, refused_, piece_leaves_); !advised) return advised;
  for (size_t i = 0; i < ranges.size(); ++i) ranges[i].refused = refused_[piece_of_[i]];
  return {};
}

void BlockAger::settle(std::span<const LeafBlock> again, bool last) {
  leaves_.clear();
  size_t at = 0;
  for (size_t i = 0; i < ranges_.size(); ++i) {
    const Range& range = ranges_[i];
    const LeafBlock& block = blocks_[range.block];
    while (at < again.size() && again[at].addr < block.addr) ++at;
    if (at == again.size()) break;
    if (again[at].addr != block.addr || again[at].shift != block.shift) continue;
    const EntrySet& still = again[at].young;
    for (unsigned leaf = still.next_set(range.first); leaf < range.end;
         leaf = still.next_set(leaf + 1))
      leaves_.push_back({i, leaf});
  }
  next_ranges_.clear();
  ask(leaves_, [&](const LeafQuery& query, const pte_slot& slot) {
    const Range& range = ranges_[query.range];
    LeafBlock& block = blocks_[range.block];
    // Accessed again: it was made old, or would have been.
    if (!is_young(slot) || (slot.ageing == PTE_AGE_COLD && !range.refused)) return;
    if (!advisable(slot)) return spare(block, slot, query.leaf);
    if (last) return block.unknown.set(query.leaf);
    Range retry{range.block, query.leaf, query.leaf + 1,
                block.range_of(query.leaf, query.leaf + 1)};
    hold_folio(retry.extent, slot);
    next_ranges_.push_back(retry);
  });
  std::swap(ranges_, next_ranges_);
}

}  // namespace damonfs
