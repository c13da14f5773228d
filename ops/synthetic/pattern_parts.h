// The parts of a pattern's process whose pages are accessed alike, so that questions about any
// number of pages are answered part by part.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/synthetic/pattern.h"

namespace damonfs {

// A piece of a mapping, whole leaves, each of which has the same chance of being accessed in any
// window of time. A value; refers to the process.
struct PatternPart {
  AddrRange range;
  const PatternMapping* mapping;
};

// All of `process` in ascending parts; what lies between mappings is in none. As many parts as
// mappings and borders of accesses.
[[nodiscard]] std::vector<PatternPart> parts_of(const PatternProcess& process);

// The chances of one process's parts in one sampling interval. Intervals of the same length in the
// same phase need no new calculation, so that a sample costs one search. Owned by who asks, one
// thread; refers to the process, which outlives it.
class PatternChances {
 public:
  struct Part {
    AddrRange range;
    const PatternMapping* mapping;  // null while it is not there
    double chance;                  // of each leaf to be accessed
  };

  explicit PatternChances(const PatternProcess& process);

  // From here on the questions are about the interval [from_ns, to_ns] of the pattern's time.
  void set_interval(uint64_t from_ns, uint64_t to_ns);
  // The part that `addr` is in, or null where nothing is mapped at the interval's end.
  [[nodiscard]] const Part* find(uint64_t addr) const;

 private:
  const PatternProcess* process_;
  std::vector<PatternPart> all_;
  std::vector<Part> parts_;  // parallel to all_
  // The times for which parts_ hold: all intervals of this length that are within them.
  uint64_t length_ns_ = 0;
  uint64_t valid_from_ns_ = 0;
  uint64_t valid_to_ns_ = 0;  // exclusive
};

}  // namespace damonfs
