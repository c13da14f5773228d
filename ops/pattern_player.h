// What a pattern's process does at which time.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/pattern.h"

namespace damonfs {

// A process of a pattern between two points of time, for questions about its pages. Refers to the
// process, which outlives it. A value. Times are nanoseconds since the pattern's start.
class PatternWindow {
 public:
  // From `from_ns` to `to_ns`, not before it.
  PatternWindow(const PatternProcess& process, uint64_t from_ns, uint64_t to_ns);

  // The mapping that is at `addr` at the window's end, or null.
  [[nodiscard]] const PatternMapping* find(uint64_t addr) const;

  // The probability that the leaf at `addr` of `mapping` was accessed within the window. Linear in
  // the parts that are accessed, whatever their sizes.
  [[nodiscard]] double chance(const PatternMapping& mapping, uint64_t addr) const;

  // Every mapping that is there at the window's end, ascending.
  [[nodiscard]] std::vector<AddrRange> mappings() const;

 private:
  // A phase that lasts through part of the window.
  struct Part {
    const PatternPhase* phase;
    double seconds;
    double share;  // of the window
  };
  [[nodiscard]] bool present(const PatternPhase& phase, const PatternMapping& mapping) const;

  const PatternProcess* process_;
  const PatternPhase* last_;  // at the window's end; null when the process is gone
  std::vector<Part> parts_;
};

}  // namespace damonfs
