// What watching a pattern's processes and watching their machine's memory have in common.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "core/base/clock.h"
#include "core/context.h"
#include "core/probes.h"
#include "ops/synthetic/pattern.h"
#include "ops/synthetic/pattern_clock.h"
#include "ops/synthetic/pattern_run.h"
#include "ops/synthetic/synthetic_actions.h"
#include "ops/synthetic/synthetic_machine.h"

namespace damonfs {

// A pattern being played for one context, the machine that it is played on, and what schemes do to
// that. Owned by the context's operations, on its thread; the clocks outlive it.
class SyntheticPlay {
 public:
  // Each start lets `virtual_clock`, if any, fly for the length of the pattern. `machine` is shared
  // by all that start together and are called on one thread; none: one of its own.
  SyntheticPlay(std::shared_ptr<const Pattern> pattern, const Clock& clock,
                PatternClock* virtual_clock, std::shared_ptr<SyntheticMachine> machine);
  SyntheticPlay(const SyntheticPlay&) = delete;
  SyntheticPlay& operator=(const SyntheticPlay&) = delete;

  // Begins the pattern, and has the context ask this machine for metrics.
  void start(Context& context);

  [[nodiscard]] PatternRun& run() { return run_; }
  [[nodiscard]] SyntheticMachine& machine() { return *machine_; }
  [[nodiscard]] SyntheticActions& actions() { return actions_; }

  // A page that was sampled.
  struct SampledPage {
    pid_t pid;      // the process that has it
    uint64_t addr;  // where it has it; bytes
    bool accessed;  // in the last interval
  };
  // Which of `probes` hit the page, bit p for probe p. It was made idle before the interval if
  // `accesses` are monitored, or a probe prepares it so; `memcg` never matches.
  [[nodiscard]] uint8_t hits(std::span<const Probe> probes, bool accesses, const SampledPage& page);

  // Lets the machine's time pass until now, and says when that is.
  SyntheticActions::Now settle();
  // The same, but not each time: for what asks every sampling interval, as what comes back to
  // memory does so slowly.
  void settle_now_and_then();

 private:
  PatternRun run_;
  std::shared_ptr<SyntheticMachine> machine_;
  uint64_t settled_ns_ = 0;  // by settle_now_and_then(), of the pattern's time
  SyntheticMetrics metrics_;
  SyntheticActions actions_;
};

}  // namespace damonfs
