#include "ops/synthetic/residency.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <optional>
#include <vector>

#include "core/base/page_size.h"
#include "ops/pages/process_pages.h"
#include "ops/synthetic/pattern_player.h"

namespace damonfs {
namespace {

// Neighbours whose shares differ less count as alike; the bytes of both together stay.
constexpr double kAlike = 1.0 / 256;
// More than these are joined although they differ more.
constexpr size_t kManyPieces = 1024;

double intervals_in(uint64_t ns, uint64_t interval_ns) {
  return interval_ns == 0 ? 1 : static_cast<double>(ns) / static_cast<double>(interval_ns);
}

bool alike(const Residency::Piece& left, const Residency::Piece& right, double tolerance) {
  return left.range.end == right.range.start && left.part == right.part &&
         left.mapped == right.mapped && left.node == right.node &&
         left.collapsed == right.collapsed && std::abs(left.out - right.out) <= tolerance;
}

}  // namespace

uint64_t whole_pages(double bytes) {
  return static_cast<uint64_t>(std::llround(bytes / static_cast<double>(kPageSize))) * kPageSize;
}

uint64_t Residency::Piece::page_size() const {
  return collapsed ? std::max(kHugePageSize, mapping->leaf_sz) : mapping->leaf_sz;
}

Residency::Residency(const PatternProcess& process) : process_(&process) {
  const PatternWindow start(process, 0, 0);
  for (const PatternPart& part : parts_of(process)) {
    const bool mapped = start.find(part.range.start) != nullptr;
    const size_t number = pieces_.size();
    pieces_.emplace(
        part.range.start,
        Piece{.range = part.range, .mapping = part.mapping, .part = number, .mapped = mapped});
  }
}

void Residency::settle(uint64_t to_ns, uint64_t interval_ns) {
  if (to_ns <= settled_ns_) return;
  const PatternWindow window(*process_, settled_ns_, to_ns,
                             intervals_in(to_ns - settled_ns_, interval_ns));
  settled_ns_ = to_ns;
  std::optional<double> chance;
  size_t part = 0;
  for (auto& [start, piece] : pieces_) {
    if (piece.part != part) chance.reset();
    part = piece.part;
    if (!window.stays(*piece.mapping)) {
      piece.mapped = window.find(start) != nullptr;
      piece.out = 0;
      piece.node = 0;
      piece.collapsed = false;
    } else if (piece.mapped && piece.out > 0) {
      if (!chance) chance = window.chance(*piece.mapping, start);
      brought_back_ += piece.bytes_out() * *chance;
      piece.out *= 1 - *chance;
    }
  }
  join(0, UINT64_MAX, kAlike);
  for (double more = 2 * kAlike; more <= 1 && pieces_.size() > kManyPieces; more *= 2) {
    join(0, UINT64_MAX, more);
  }
}

void Residency::visit(AddrRange range, const std::function<void(Piece&)>& fn) {
  if (range.start >= range.end) return;
  cut(range.start);
  cut(range.end);
  for (auto at = pieces_.lower_bound(range.start); at != pieces_.end() && at->first < range.end;
       ++at) {
    if (at->second.mapped) fn(at->second);
  }
  join(range.start, range.end, kAlike);
}

double Residency::chance(const Piece& piece, uint64_t from_ns, uint64_t to_ns,
                         uint64_t interval_ns) const {
  const PatternWindow window(*process_, from_ns, to_ns, intervals_in(to_ns - from_ns, interval_ns));
  return window.chance(*piece.mapping, piece.range.start);
}

void Residency::cut(uint64_t addr) {
  const auto above = pieces_.lower_bound(addr);
  if (above == pieces_.begin()) return;
  Piece& left = std::prev(above)->second;
  if (left.range.end <= addr) return;
  Piece right = left;
  left.range.end = addr;
  right.range.start = addr;
  pieces_.emplace_hint(above, addr, right);
}

void Residency::join(uint64_t from, uint64_t to, double tolerance) {
  auto left = pieces_.lower_bound(from);
  if (left != pieces_.begin()) --left;
  if (left == pieces_.end()) return;
  for (auto right = std::next(left); right != pieces_.end() && right->first <= to;) {
    Piece& kept = left->second;
    const Piece& gone = right->second;
    if (!alike(kept, gone, tolerance)) {
      left = right++;
      continue;
    }
    // Shares that are the same stay exactly that.
    if (kept.out != gone.out) {
      const double out = kept.bytes_out() + gone.bytes_out();
      kept.out = out / static_cast<double>(gone.range.end - kept.range.start);
    }
    kept.range.end = gone.range.end;
    right = pieces_.erase(right);
  }
}

uint64_t Residency::mapped() const {
  uint64_t sum = 0;
  for (const auto& [start, piece] : pieces_) sum += piece.mapped ? piece.range.size() : 0;
  return sum;
}

uint64_t Residency::resident() const {
  double sum = 0;
  for (const auto& [start, piece] : pieces_) sum += piece.mapped ? piece.bytes_in() : 0;
  return whole_pages(sum);
}

uint64_t Residency::resident_on(int node) const {
  double sum = 0;
  for (const auto& [start, piece] : pieces_) {
    if (piece.mapped && piece.node == node) sum += piece.bytes_in();
  }
  return whole_pages(sum);
}

uint64_t Residency::brought_back() const { return whole_pages(brought_back_); }

}  // namespace damonfs
