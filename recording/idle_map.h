// When memory was accessed last, address by address, as far as snapshots tell.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <span>

#include "core/region.h"

namespace damonfs {

// How memory was found when it was found last. Later ones count more at the same moment.
enum class Heat : uint8_t {
  idle,     // not accessed
  unknown,  // it cannot be told
  warm,     // accessed in less than half of the samples
  hot,      // accessed in half of the samples or more
};

// Of each address of an address space: when it was accessed last and how hot it was then, or since
// when it is known to be idle. Owned by one thread. Invariant: pieces ascend, do not overlap, and
// neighbours that say the same are one.
class IdleMap {
 public:
  struct Piece {
    uint64_t end = 0;
    uint64_t last_us = 0;  // of the last access; `idle`: since then, at least, there was none
    Heat heat = Heat::idle;
  };
  // An access to memory that was known: how many bytes, and for how long they had been idle.
  using ReturnFn = std::function<void(uint64_t bytes, uint64_t idle_us)>;

  // `range` was accessed at `time_us`. What was accessed later already stays as it is.
  void touch(AddrRange range, uint64_t time_us, Heat heat, const ReturnFn& returned);
  // `range` is idle since `since_us`: for what was not known yet.
  void see(AddrRange range, uint64_t since_us);
  // Forgets what is in none of `ranges` (ascending).
  void keep(std::span<const AddrRange> ranges);

  // Calls fn(AddrRange part, const Piece&) for the parts of `range` that are known, ascending.
  template <class Fn>
  void for_each(AddrRange range, const Fn& fn) const {
    for (auto it = first_in(range.start); it != pieces_.end() && it->first < range.end; ++it) {
      const AddrRange part{std::max(it->first, range.start), std::min(it->second.end, range.end)};
      if (part.start < part.end) fn(part, it->second);
    }
  }
  [[nodiscard]] size_t nr_pieces() const { return pieces_.size(); }

 private:
  using Pieces = std::map<uint64_t, Piece>;  // by their start
  // The first piece that ends above `address`.
  [[nodiscard]] Pieces::const_iterator first_in(uint64_t address) const;
  void split_at(uint64_t address);
  // Joins the pieces from the one before `range` to the one behind it, where they say the same.
  void join_around(AddrRange range);

  Pieces pieces_;
};

}  // namespace damonfs
