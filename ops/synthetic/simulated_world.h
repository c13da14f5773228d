// Machines that a pattern describes.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/machine.h"
#include "core/ranges.h"
#include "ops/synthetic/pattern.h"
#include "ops/synthetic/pattern_clock.h"
#include "ops/synthetic/synthetic_machine.h"

namespace damonfs {

// The pattern in `file` with `seed`, if given, in place of its own. Errors as load_pattern().
[[nodiscard]] Result<Pattern> load_seeded(const std::string& file, std::optional<uint64_t> seed);

// What it takes to watch `pattern` in the time of `clock`, which outlives all that is made.
// `virtual_clock`: the same clock where it is one of a pattern, else null. `memory`: what the
// operations share; without it each has a machine of its own.
[[nodiscard]] Machine machine_of_pattern(const std::shared_ptr<const Pattern>& pattern,
                                         const Clock& clock, PatternClock* virtual_clock,
                                         std::shared_ptr<SyntheticMachine> memory);

// The described machine that the kdamonds of a simulation share. Owned by the simulation; one
// thread.
class SimulatedWorld {
 public:
  explicit SimulatedWorld(Pattern pattern);
  // Errors as load_pattern().
  static Result<SimulatedWorld> load(const std::string& file, std::optional<uint64_t> seed);

  // Of the pattern.
  [[nodiscard]] uint64_t length_ns() const { return pattern_->length_ns(); }
  // The budget of sweeps of all machines that are made from now on (Machine::sweep_bp); 0 at first.
  void set_sweep_bp(uint64_t sweep_bp) { sweep_bp_ = sweep_bp; }
  // What the tree needs for a kdamond whose time is `clock`, which outlives all that is made.
  [[nodiscard]] Machine machine_for(const Clock& clock) const;

  // The process that a target is, or (pid 0) all of physical memory; sizes in bytes.
  struct Process {
    int pid = 0;
    RangeList mappings;
    uint64_t mapped = 0;
    uint64_t resident = 0;
    uint64_t brought_back = 0;  // came back because it was accessed, since the start
  };
  [[nodiscard]] Process look(const Target& target, uint64_t now_ns, uint64_t sample_us);

 private:
  [[nodiscard]] Process look_at_memory(uint64_t now_ns) const;

  std::shared_ptr<const Pattern> pattern_;
  std::shared_ptr<SyntheticMachine> memory_;
  uint64_t sweep_bp_ = 0;
};

}  // namespace damonfs
