// What of a described process's memory is there, after schemes have acted on it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>

#include "ops/synthetic/pattern.h"
#include "ops/synthetic/pattern_parts.h"

namespace damonfs {

// Rounded to the nearest page; bytes.
[[nodiscard]] uint64_t whole_pages(double bytes);

// The memory of one process of a pattern: at first all of it is there, on node 0. What is paged out
// stays away until the pattern accesses it. That is a matter of chance, and here counted in the
// mean: of pages that are accessed within a time with probability p, the share p of those that were
// away is back after it. So the work depends on how many pieces there are, never on their size, and
// a run is the same each time. Neighbouring pieces are taken together, with their mean, where they
// differ little, and where they differ more should there be more than about a thousand.
//
// A mapping that goes and comes back is new, all of it there. One thread; refers to the process.
class Residency {
 public:
  // Neighbouring pages that are alike. All sizes are whole pages.
  struct Piece {
    AddrRange range;
    const PatternMapping* mapping = nullptr;
    size_t part = 0;         // number of the part of the pattern that it is of
    bool mapped = true;      // false while the mapping is not there: then it has no memory
    double out = 0;          // share of the pages that are paged out, 0 to 1
    int node = 0;            // NUMA node of the others
    bool collapsed = false;  // made of huge pages by a scheme

    // Bytes that are mapped as one.
    [[nodiscard]] uint64_t page_size() const;
    [[nodiscard]] double bytes_in() const { return static_cast<double>(range.size()) * (1 - out); }
    [[nodiscard]] double bytes_out() const { return static_cast<double>(range.size()) * out; }
  };

  explicit Residency(const PatternProcess& process);

  // Lets the pattern's time pass until `to_ns`, in sampling intervals of `interval_ns` (for rates
  // that are given by the interval). Nothing when that time is over already.
  void settle(uint64_t to_ns, uint64_t interval_ns);

  // Calls `fn` for each piece of `range` that is mapped, ascending, cut to it; fn may change `out`,
  // `node` and `collapsed`.
  void visit(AddrRange range, const std::function<void(Piece&)>& fn);

  // The chance of the leaves of `piece` to be accessed between two times.
  [[nodiscard]] double chance(const Piece& piece, uint64_t from_ns, uint64_t to_ns,
                              uint64_t interval_ns) const;

  // Bytes; rounded to whole pages.
  [[nodiscard]] uint64_t mapped() const;
  [[nodiscard]] uint64_t resident() const;
  [[nodiscard]] uint64_t resident_on(int node) const;
  // Bytes that came back because the pattern accessed them, so far.
  [[nodiscard]] uint64_t brought_back() const;
  [[nodiscard]] size_t nr_pieces() const { return pieces_.size(); }

 private:
  using Pieces = std::map<uint64_t, Piece>;  // by start

  void cut(uint64_t addr);
  // Joins what is alike from the piece at or before `from` up to the one that begins at `to`:
  // shares that differ by `tolerance` at most.
  void join(uint64_t from, uint64_t to, double tolerance);

  const PatternProcess* process_;
  Pieces pieces_;
  uint64_t settled_ns_ = 0;
  double brought_back_ = 0;
};

}  // namespace damonfs
