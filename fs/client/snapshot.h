// What monitoring found at one moment, as a reader of the tree has it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/attrs.h"
#include "core/ranges.h"
#include "core/region.h"

namespace damonfs {

// One region of a snapshot: how often samples of it were found accessed within one aggregation
// interval, and for how many aggregation intervals that has held. A plain value.
struct RegionView {
  AddrRange range;
  uint32_t nr_accesses = 0;
  uint32_t age = 0;
  bool unknown = false;  // sweeps could not tell whether it was accessed, and samples saw nothing
};

// How far a snapshot can be believed.
enum class Trust : uint8_t {
  settled,
  tuning,     // the intervals are still being tuned
  not_swept,  // sweeps have not been over the memory twice
};

// The regions of one process at one moment; a plain value. Invariant: regions ascend by address
// and do not overlap.
struct Snapshot {
  int pid = 0;
  double time = 0;  // seconds since the epoch
  double monotonic =
      0;               // seconds of CLOCK_MONOTONIC, which other programs can take the time by, too
  double elapsed = 0;  // seconds since watching began
  MonitoringAttrs attrs;
  std::vector<RegionView> regions;
  Trust trust = Trust::settled;
  uint64_t unknown_bytes = 0;  // of pages of which sweeps could not tell
  uint64_t passes = 0;         // of sweeps, that have begun; 0: there are no sweeps
  double row = 0;              // seconds for which the counts are the largest; 0: one aggregation
  RangeList mapped;            // what the process has mapped; empty when that is not known
  std::vector<std::string> names;  // lines of a table of its memory by name, where that is known
  std::string hottest;             // the name of what is accessed most, raw; empty: not known
};

// A snapshot in numbers. Bytes; the hottest is the longest run of neighbouring regions with the
// highest count.
struct SnapshotSums {
  uint64_t watched = 0;
  uint64_t accessed = 0;  // of regions with any access: the working set of an aggregation interval
  uint64_t hot = 0;       // of regions accessed in half of the samples or more
  RegionView hottest;     // range of size 0 when nothing was accessed
};
[[nodiscard]] SnapshotSums sums_of(const Snapshot& snapshot);

// The ranges that are watched; of these what is mapped, where that is known and anything is.
[[nodiscard]] RangeList shown_ranges(const Snapshot& snapshot);

// One line of JSON, without the newline: {"time", "monotonic", "elapsed", "pid",
// "samples_per_aggregation", "attrs": {"sample_us", "aggr_us", "update_us", "min_nr_regions",
// "max_nr_regions"}, "settled", "unknown_bytes", "regions":
// [{"start", "end", "nr_accesses", "age"}, ...]}; addresses are numbers. Regions of unknown memory
// also have "unknown": true.
[[nodiscard]] std::string to_json(const Snapshot& snapshot);

}  // namespace damonfs
