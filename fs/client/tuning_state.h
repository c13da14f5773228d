// Whether what is monitored can be believed yet.
#pragma once

#include <deque>

#include "fs/client/snapshot.h"

namespace damonfs {

// Follows the intervals of a context whose tuning is on. Owned and used by one thread.
class TuningState {
 public:
  // Takes the next snapshot's intervals and sets its `trust`.
  void note(Snapshot& snapshot);

 private:
  struct Interval {
    double elapsed = 0;  // seconds since watching began
    uint64_t sample_us = 0;
  };
  std::deque<Interval> seen_;  // as far back as it takes to be sure
};

}  // namespace damonfs
