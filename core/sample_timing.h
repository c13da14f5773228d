// How exactly a kdamond keeps to its sampling intervals.
#pragma once

#include <algorithm>
#include <cstdint>

namespace damonfs {

// Number, sum and maximum of durations, in nanoseconds. A plain value.
struct DurationStat {
  uint64_t count = 0;
  uint64_t total_ns = 0;
  uint64_t max_ns = 0;

  void add(uint64_t ns) {
    ++count;
    total_ns += ns;
    max_ns = std::max(max_ns, ns);
  }
  [[nodiscard]] uint64_t mean_ns() const { return count == 0 ? 0 : total_ns / count; }
};

// Sampling intervals of some time, in the time of the kdamond's Clock. A plain value.
struct IntervalTiming {
  DurationStat late;  // samples were checked so much later than sample_us after their preparation
  DurationStat work;  // what the kdamond did beside sleeping, by which an interval is longer

  void add(uint64_t late_ns, uint64_t work_ns) {
    late.add(late_ns);
    work.add(work_ns);
  }
};

// The timing of one context. Inside it, same thread rule. Pauses and rests by watermarks do not
// count.
struct SampleTiming {
  IntervalTiming since_start;
  IntervalTiming last_aggregation;     // the last one that is complete
  IntervalTiming running_aggregation;  // the one that is going on

  void end_aggregation() {
    last_aggregation = running_aggregation;
    running_aggregation = {};
  }
};

}  // namespace damonfs
