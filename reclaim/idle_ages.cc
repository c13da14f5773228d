#include "reclaim/idle_ages.h"

#include <algorithm>

#include "core/base/arithmetic.h"

namespace damonfs {
namespace {

// Calls fn(block, first page, end page) for the part of `range` in each block that it touches.
template <class Fn>
void for_each_block(AddrRange range, const Fn& fn) {
  for (uint64_t at = range.start; at < range.end;) {
    const uint64_t block = align_down(at, IdleAges::kBlockSize);
    const uint64_t end = std::min(range.end, block + IdleAges::kBlockSize);
    fn(block, (at - block) / kPageSize, (end - block) / kPageSize);
    at = end;
  }
}

}  // namespace

void IdleAges::join_old_sweeps() {
  std::array<uint8_t, 256> renumbered{};
  renumbered[kUnknown] = kUnknown;
  std::vector<uint64_t> starts(starts_.begin(), starts_.begin() + kFirst);
  const size_t old = starts_.size() - kKeptApart;
  for (size_t number = kFirst; number < starts_.size(); ++number) {
    // The first sweep stays apart from the others: it tells of times that nobody knows.
    const bool joins = number > kFirst + 1 && number < old && (number - kFirst) % 2 == 0;
    if (!joins) starts.push_back(starts_[number]);
    renumbered[number] = static_cast<uint8_t>(starts.size() - 1);
  }
  starts_ = std::move(starts);
  for (auto& [addr, block] : blocks_)
    for (uint8_t& page : block) page = renumbered[page];
}

void IdleAges::erase(AddrRange range) {
  if (range.start >= range.end) return;
  auto at = blocks_.lower_bound(align_down(range.start, kBlockSize));
  while (at != blocks_.end() && at->first < range.end) {
    if (range.start <= at->first && at->first + kBlockSize <= range.end) {
      at = blocks_.erase(at);
      continue;
    }
    const uint64_t first = std::max(range.start, at->first) - at->first;
    const uint64_t end = std::min(range.end, at->first + kBlockSize) - at->first;
    std::fill(at->second.begin() + static_cast<ptrdiff_t>(first / kPageSize),
              at->second.begin() + static_cast<ptrdiff_t>(end / kPageSize), kAbsent);
    ++at;
  }
}

void IdleAges::note(const SweptRun& run) {
  const auto before = static_cast<uint8_t>(std::max<unsigned>(current() - 1, kFirst));
  for_each_block(run.range, [&](uint64_t addr, uint64_t first, uint64_t end) {
    Block& block = blocks_[addr];
    const auto begin = block.begin() + static_cast<ptrdiff_t>(first);
    const auto past = block.begin() + static_cast<ptrdiff_t>(end);
    if (run.state == AccessState::accessed) {
      std::fill(begin, past, current());
    } else if (run.state == AccessState::unknown) {
      std::fill(begin, past, kUnknown);
    } else {
      std::replace(begin, past, kAbsent, current());
      std::replace(begin, past, kUnknown, before);
    }
  });
}

void IdleAges::add(uint64_t now_ns, std::span<const SweptRun> runs) {
  if (starts_.size() == kMaxSweeps) join_old_sweeps();
  starts_.push_back(now_ns_);
  now_ns_ = now_ns;
  uint64_t at = 0;
  for (const SweptRun& run : runs) {
    erase({at, run.range.start});
    note(run);
    at = run.range.end;
  }
  erase({at, UINT64_MAX});
}

void IdleAges::visit(unsigned number,
                     const std::function<void(uint64_t addr, const BlockShare&)>& fn) const {
  const size_t first = std::max<size_t>(starts_.size() - number, kFirst + 1);
  for (const auto& [addr, block] : blocks_) {
    BlockShare share;
    for (const uint8_t page : block) {
      if (page == kUnknown) share.unknown += kPageSize;
      if (page >= kFirst) share.known += kPageSize;
      if (page >= first) share.accessed += kPageSize;
    }
    fn(addr, share);
  }
}

void IdleAges::visit_pages(
    const std::function<void(AddrRange range, std::optional<unsigned> ago)>& fn) const {
  for (const auto& [addr, block] : blocks_) {
    for (size_t first = 0; first < block.size();) {
      const uint8_t page = block[first];
      size_t end = first + 1;
      while (end < block.size() && block[end] == page) ++end;
      const AddrRange range{addr + first * kPageSize, addr + end * kPageSize};
      first = end;
      if (page == kAbsent) continue;
      if (page == kUnknown) {
        fn(range, std::nullopt);
      } else {
        fn(range, page == kFirst ? kNever : static_cast<unsigned>(starts_.size() - page));
      }
    }
  }
}

IdleAges::Sums IdleAges::sums() const {
  std::array<uint64_t, kMaxSweeps> pages{};
  for (const auto& [addr, block] : blocks_)
    for (const uint8_t page : block) ++pages[page];
  Sums sums;
  sums.unknown = pages[kUnknown] * kPageSize;
  sums.accessed.push_back(0);
  for (unsigned number = 1; number <= nr_sweeps(); ++number)
    sums.accessed.push_back(sums.accessed.back() + pages[starts_.size() - number] * kPageSize);
  sums.known = sums.accessed.back() + pages[kFirst] * kPageSize;
  return sums;
}

uint64_t IdleAges::reach_ns(unsigned number) const {
  return now_ns_ - starts_[starts_.size() - number];
}

}  // namespace damonfs
