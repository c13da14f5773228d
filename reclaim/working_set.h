// The working set of a process, by sweeps of all its pages.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/ranges.h"
#include "core/sweep.h"
#include "reclaim/idle_ages.h"

namespace damonfs {

// How to measure. A value.
struct WorkingSetOptions {
  uint64_t interval_ns = 0;  // between two sweeps; 0: 1 s, longer where that would cost too much
  double max_cpu = 0.05;     // of one processor
};

// What was found. A value; bytes.
struct WorkingSetReport {
  // What was accessed in the last `seconds`.
  struct Window {
    uint64_t seconds = 0;
    uint64_t bytes = 0;
    uint64_t error = 0;  // where pages were sampled: the truth is within this with 95 %
  };
  // What was not accessed for `seconds` or longer, but for less than the next entry says.
  struct Idle {
    uint64_t seconds = 0;
    uint64_t bytes = 0;
  };

  uint64_t measured_ns = 0;  // since the end of the first sweep
  uint64_t resident = 0;
  uint64_t unknown = 0;         // of these
  std::vector<Window> windows;  // 1 s, 10 s, 60 s, ... that were measured
  std::vector<Idle> idle;
  double sampled_share = 1;  // of the memory, that was swept in the end
  uint64_t interval_ns = 0;  // between the last sweeps
  uint64_t nr_sweeps = 0;
  SweepCost cost;  // of all sweeps
};

// Measures the working set of one target. Sweeps all of it once an interval; the first sweep only
// makes pages old. Where that takes more than the budget, a half, a quarter, ... of the memory, in
// blocks of 2 MiB that are drawn by their address, is made old and speaks for the rest (ratio
// estimate); all of it still is read, to know what is resident. Where reading is too much as well
// the interval grows, if it may. One thread.
class WorkingSet {
 public:
  // All outlive this.
  WorkingSet(Sweeper& sweeper, const Target& target, const Clock& clock, WorkingSetOptions options);

  // Asked between pieces: whether to stop.
  using Stopped = std::function<bool()>;

  // Sweeps once; false when it was stopped meanwhile, and then the sweep does not count. Errors as
  // of Sweeper::sweep().
  Result<bool> sweep(const Stopped& stopped);
  // When the next sweep is due, in the clock's time.
  [[nodiscard]] uint64_t next_ns() const { return last_ns_ + interval_ns_; }

  [[nodiscard]] WorkingSetReport report() const;

  // The shortest of the report's windows that pages were accessed in, in seconds; 0 for none of
  // them; nothing where that is unknown. Calls `fn` for runs of pages alike, of those that were
  // swept: where pages were sampled, the share report().sampled_share of all.
  using VisitFn = std::function<void(AddrRange range, std::optional<uint64_t> seconds)>;
  void visit_pages(const VisitFn& fn) const;
  // What was not accessed for `seconds`, in bytes; nothing when that was not measured.
  [[nodiscard]] std::optional<uint64_t> idle_for(uint64_t seconds) const;

 private:
  [[nodiscard]] bool in_sample(uint64_t block) const;
  // Sweeps `range`, or stops; what it found is appended to runs_, what it cost added to `cost`.
  Result<bool> sweep_range(AddrRange range, SweepMode mode, const Stopped& stopped,
                           SweepCost& cost);
  // Sweeps the blocks of the sample after a look at everything.
  Result<bool> sweep_sample(const Stopped& stopped, SweepCost& looking, SweepCost& cost);
  void keep_to_budget(uint64_t looking_ns, uint64_t cpu_ns);

  // Of how many sweeps the last `seconds` are made up; nothing where there are none that do.
  [[nodiscard]] std::optional<unsigned> sweeps_in(uint64_t seconds) const;
  // `bytes` of what was swept, for all that is resident.
  [[nodiscard]] uint64_t scaled(uint64_t bytes, const IdleAges::Sums& sums) const;
  // How far off the estimate of what was accessed in the last `number` sweeps may be.
  [[nodiscard]] uint64_t error_of(unsigned number) const;
  // What was not accessed in the last `number` sweeps.
  [[nodiscard]] uint64_t idle_in(unsigned number, const IdleAges::Sums& sums) const;

  Sweeper* sweeper_;
  const Target* target_;
  const Clock* clock_;
  WorkingSetOptions options_;

  IdleAges ages_;
  uint64_t interval_ns_;
  unsigned halvings_ = 0;  // of the share that is swept
  uint64_t resident_ = 0;  // bytes, as of the last sweep
  uint64_t nr_sweeps_ = 0;
  uint64_t first_ns_ = 0;
  uint64_t last_ns_ = 0;  // when the last one began; of the first: ended
  uint64_t last_interval_ns_ = 0;
  SweepCost cost_;
  std::vector<SweptRun> runs_;  // of one sweep, kept for their memory
  std::vector<SweptRun> looked_at_;
};

}  // namespace damonfs
