// What a pattern's process does at which time.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/synthetic/pattern.h"

namespace damonfs {

// One run of a phase, which takes turns with others in a loop. A value.
struct PhaseRun {
  const PatternPhase* phase = nullptr;  // null: behind the end of a process that exits
  uint64_t from_ns = 0;
  uint64_t to_ns = 0;  // exclusive; UINT64_MAX when it lasts on
};
[[nodiscard]] PhaseRun phase_at(const PatternProcess& process, uint64_t time_ns);

// A process of a pattern between two points of time, for questions about its pages. Refers to the
// process, which outlives it. A value. Times are nanoseconds since the pattern's start.
class PatternWindow {
 public:
  // From `from_ns` to `to_ns`, not before it; that many sampling intervals.
  PatternWindow(const PatternProcess& process, uint64_t from_ns, uint64_t to_ns,
                double intervals = 1);

  // The mapping that is at `addr` at the window's end, or null.
  [[nodiscard]] const PatternMapping* find(uint64_t addr) const;

  // The probability that the leaf at `addr` of `mapping` was accessed within the window. Linear in
  // the parts that are accessed, whatever their sizes.
  [[nodiscard]] double chance(const PatternMapping& mapping, uint64_t addr) const;

  // Whether `mapping` was there all the time.
  [[nodiscard]] bool stays(const PatternMapping& mapping) const;

  // Every mapping that is there at the window's end, ascending.
  [[nodiscard]] std::vector<AddrRange> mappings() const;

 private:
  // A phase that lasts through part of the window.
  struct Part {
    const PatternPhase* phase;
    double seconds;
    double intervals;  // sampling intervals of the window that fall into it
  };
  [[nodiscard]] bool present(const PatternPhase& phase, const PatternMapping& mapping) const;

  const PatternProcess* process_;
  const PatternPhase* last_;  // at the window's end; null when the process is gone
  std::vector<Part> parts_;
};

}  // namespace damonfs
