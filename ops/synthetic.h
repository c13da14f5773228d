// Watching described access patterns instead of real memory (backend `synthetic:FILE`).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "core/clock.h"
#include "core/target.h"
#include "ops/pattern.h"
#include "ops/pattern_clock.h"
#include "ops/pattern_parts.h"
#include "ops/synthetic_actions.h"
#include "ops/synthetic_machine.h"
#include "ops/virtual_operations.h"

namespace damonfs {

// A process of a pattern, under the number that a user gave it. Immutable, any thread.
class SyntheticProcess final : public TargetHandle {
 public:
  // ESRCH when the pattern has no process for `pid`.
  static Result<std::shared_ptr<SyntheticProcess>> open(pid_t pid,
                                                        std::shared_ptr<const Pattern> pattern);

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] const PatternProcess& pattern() const { return *process_; }
  [[nodiscard]] bool same_as(const TargetHandle& other) const override;

 private:
  SyntheticProcess(pid_t pid, std::shared_ptr<const Pattern> whole, const PatternProcess* process)
      : pid_(pid), whole_(std::move(whole)), process_(process) {}

  pid_t pid_;
  std::shared_ptr<const Pattern> whole_;
  const PatternProcess* process_;  // in whole_
};

// vaddr and fvaddr of a pattern's processes: every target's handle is a SyntheticProcess. A page is
// accessed in an interval with the probability that the pattern gives, 1 - exp(-rate * time), by a
// draw that depends on nothing but the seed, the process, the page and the interval's number since
// the start: a run in virtual time is the same each time, whatever is sampled. Time in the pattern
// starts at init(). A check costs the same whatever size the processes are. Schemes' actions change
// nothing but what is counted as being in memory (SyntheticActions, Residency). Same ownership and
// thread rule as Operations; the clocks outlive it.
class SyntheticOperations final : public VirtualOperations {
 public:
  // Each start lets `virtual_clock`, if any, fly for the length of the pattern. `machine` is shared
  // by all that start together and are called on one thread; none: one of its own.
  SyntheticOperations(OpsId id, std::shared_ptr<const Pattern> pattern, const Clock& clock,
                      PatternClock* virtual_clock = nullptr,
                      std::shared_ptr<SyntheticMachine> machine = nullptr);

  void init(Context& context) override;
  void prepare(std::span<Sample> samples) override;
  void check(std::span<Sample> samples) override;
  void apply(const Scheme& scheme, std::span<Application> work) override;

  // A page is anonymous unless the pattern says `file`, as large as its leaf, or 2 MiB once
  // collapsed, of no memory cgroup, and idle when it was not accessed in a sampling interval before
  // which it was made so. Of a piece of memory of which a share is paged out, each page is there or
  // not by a draw of its own.
  [[nodiscard]] bool takes_probes() const override { return true; }
  void prepare_probes(std::span<const Probe> probes, std::span<Sample> samples,
                      bool accesses) override;
  void apply_probes(std::span<const Probe> probes, std::span<Sample> samples,
                    bool accesses) override;

  // False once a process that exits has come to its end.
  [[nodiscard]] bool target_valid(const Target& target) override;

 protected:
  [[nodiscard]] Result<std::vector<AddrRange>> mappings(const Target& target) override;

 private:
  [[nodiscard]] uint64_t elapsed_ns() const { return clock_->now_ns() - started_ns_; }
  void check_process(const SyntheticProcess& process, std::span<Sample> samples);
  PatternChances& chances_of(const PatternProcess& process);
  // Which of `probes` the page hits that was sampled.
  [[nodiscard]] uint8_t hits(std::span<const Probe> probes, const Sample& sample, bool idle);
  void settle_now_and_then();

  std::shared_ptr<const Pattern> pattern_;
  const Clock* clock_;
  PatternClock* virtual_clock_;
  uint64_t started_ns_ = 0;
  uint64_t interval_ = 0;           // number of the sampling interval, from 1
  uint64_t interval_start_ns_ = 0;  // since started_ns_
  uint64_t interval_ns_ = 0;        // length of the last one
  std::map<const PatternProcess*, PatternChances> chances_;
  std::shared_ptr<SyntheticMachine> machine_;
  uint64_t settled_ns_ = 0;  // by settle_now_and_then(), since started_ns_
  SyntheticMetrics metrics_;
  SyntheticActions actions_;
};

}  // namespace damonfs
