// One playing of a pattern: which pages are accessed in which sampling interval.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>

#include "core/base/clock.h"
#include "ops/synthetic/pattern.h"
#include "ops/synthetic/pattern_clock.h"
#include "ops/synthetic/pattern_parts.h"

namespace damonfs {

// A page is accessed in an interval with the probability that the pattern gives, 1 - exp(-rate *
// time), by a draw that depends on nothing but the seed, the process, the page and the interval's
// number since the start: a run in virtual time is the same each time, whatever is sampled. Owned
// by the operations of one context, on its thread; the clocks outlive it.
class PatternRun {
 public:
  // Each start lets `virtual_clock`, if any, fly for the length of the pattern.
  PatternRun(std::shared_ptr<const Pattern> pattern, const Clock& clock,
             PatternClock* virtual_clock);

  // The pattern's time is 0 from here on.
  void start();
  // Nanoseconds of the pattern.
  [[nodiscard]] uint64_t elapsed_ns() const { return clock_->now_ns() - started_ns_; }

  void begin_interval();
  void end_interval() { interval_ns_ = elapsed_ns() - interval_start_ns_; }
  // Length of the last one.
  [[nodiscard]] uint64_t interval_ns() const { return interval_ns_; }

  // What the last interval did to the pages of one process. Lives no longer than the interval.
  class Accesses {
   public:
    struct Page {
      bool accessed = false;
      bool unknown = false;
      uint64_t leaf_sz = 0;  // 0: nothing is mapped there
    };
    [[nodiscard]] Page at(uint64_t addr) const;

   private:
    friend class PatternRun;
    Accesses(const PatternChances& chances, uint64_t draw) : chances_(&chances), draw_(draw) {}
    const PatternChances* chances_;
    uint64_t draw_;
  };
  [[nodiscard]] Accesses accesses_of(const PatternProcess& process, pid_t pid);

  // A number in [0, 1) that a page has for the whole of the run.
  [[nodiscard]] double draw_of_page(pid_t pid, uint64_t page) const;

 private:
  std::shared_ptr<const Pattern> pattern_;
  const Clock* clock_;
  PatternClock* virtual_clock_;
  uint64_t started_ns_;
  uint64_t interval_ = 0;           // number of the sampling interval, from 1
  uint64_t interval_start_ns_ = 0;  // since started_ns_
  uint64_t interval_ns_ = 0;
  std::map<const PatternProcess*, PatternChances> chances_;
};

}  // namespace damonfs
