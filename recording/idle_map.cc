#include "recording/idle_map.h"

#include <iterator>

namespace damonfs {

namespace {

bool later(uint64_t time_us, Heat heat, const IdleMap::Piece& piece) {
  return time_us > piece.last_us || (time_us == piece.last_us && heat > piece.heat);
}

bool same(const IdleMap::Piece& a, const IdleMap::Piece& b) {
  return a.last_us == b.last_us && a.heat == b.heat;
}

}  // namespace

IdleMap::Pieces::const_iterator IdleMap::first_in(uint64_t address) const {
  auto it = pieces_.upper_bound(address);
  if (it != pieces_.begin() && std::prev(it)->second.end > address) --it;
  return it;
}

void IdleMap::split_at(uint64_t address) {
  auto it = pieces_.lower_bound(address);
  if (it == pieces_.begin()) return;
  --it;
  if (it->second.end <= address) return;
  Piece right = it->second;
  it->second.end = address;
  pieces_.emplace(address, right);
}

void IdleMap::join_around(AddrRange range) {
  auto it = pieces_.lower_bound(range.start);
  if (it != pieces_.begin()) --it;
  while (it != pieces_.end() && it->first <= range.end) {
    const auto next = std::next(it);
    if (next == pieces_.end()) return;
    if (it->second.end == next->first && same(it->second, next->second)) {
      it->second.end = next->second.end;
      pieces_.erase(next);
    } else {
      it = next;
    }
  }
}

void IdleMap::touch(AddrRange range, uint64_t time_us, Heat heat, const ReturnFn& returned) {
  if (range.start >= range.end) return;
  split_at(range.start);
  split_at(range.end);
  uint64_t at = range.start;
  auto it = pieces_.lower_bound(range.start);
  while (at < range.end) {
    const bool in_piece = it != pieces_.end() && it->first == at;
    if (!in_piece) {
      const uint64_t end = it == pieces_.end() ? range.end : std::min(it->first, range.end);
      pieces_.emplace_hint(it, at, Piece{end, time_us, heat});
      at = end;
      continue;
    }
    Piece& piece = it->second;
    if (later(time_us, heat, piece)) {
      if (returned && time_us > piece.last_us) {
        returned(piece.end - it->first, time_us - piece.last_us);
      }
      piece.last_us = time_us;
      piece.heat = heat;
    }
    at = piece.end;
    ++it;
  }
  join_around(range);
}

void IdleMap::see(AddrRange range, uint64_t since_us) {
  uint64_t at = range.start;
  auto it = first_in(range.start);
  bool added = false;
  while (at < range.end) {
    if (it != pieces_.end() && it->first <= at) {
      at = it->second.end;
      ++it;
      continue;
    }
    const uint64_t end = it == pieces_.end() ? range.end : std::min(it->first, range.end);
    pieces_.emplace_hint(it, at, Piece{end, since_us, Heat::idle});
    added = true;
    at = end;
  }
  if (added) join_around(range);
}

void IdleMap::keep(std::span<const AddrRange> ranges) {
  uint64_t from = 0;
  const auto erase = [this](uint64_t start, uint64_t end) {
    if (start >= end) return;
    split_at(start);
    split_at(end);
    pieces_.erase(pieces_.lower_bound(start), pieces_.lower_bound(end));
  };
  for (const AddrRange& range : ranges) {
    erase(from, range.start);
    from = range.end;
  }
  erase(from, UINT64_MAX);
}

}  // namespace damonfs
