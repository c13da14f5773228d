// What a record amounts to: how much memory of which name is hot, warm and cold, the working set,
// and what reclaiming idle memory would have cost.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/ranges.h"
#include "recording/frame.h"
#include "recording/idle_map.h"

namespace damonfs {

// Memory by how long it has been idle; bytes. A value.
struct MemoryByAge {
  // From when on memory is cold, and when it is colder still.
  static constexpr std::array<uint64_t, 4> kColdUs = {10'000'000, 60'000'000, 600'000'000,
                                                      3'600'000'000};
  uint64_t hot = 0;                             // accessed now, in half of the samples or more
  uint64_t warm = 0;                            // else accessed within kColdUs[0]
  uint64_t unknown = 0;                         // whether it is accessed cannot be told
  std::array<uint64_t, kColdUs.size()> cold{};  // idle for kColdUs[i], and not for kColdUs[i + 1]

  [[nodiscard]] uint64_t all_cold() const;
  [[nodiscard]] uint64_t total() const { return hot + warm + unknown + all_cold(); }
  MemoryByAge& operator+=(const MemoryByAge& other);
};

// The memory of one name. What processes share is counted once. A value.
struct NameSummary {
  RecordedName name;
  uint64_t mapped = 0;     // bytes at the end of the record
  MemoryByAge last;        // then; of what was in memory
  MemoryByAge mean;        // over the record
  uint64_t untouched = 0;  // never accessed as long as it was recorded, at the end
};

// One process. A value.
struct TargetSummary {
  RecordedTarget target;
  uint64_t first_us = 0;  // of its snapshots
  uint64_t last_us = 0;
  RangeList watched;  // what it had mapped at any time, as far as it was watched
};

// The record at one moment. A value.
struct SummaryPoint {
  uint64_t time_us = 0;
  uint64_t accessed = 0;     // within an aggregation interval
  uint64_t within_10s = 0;   // accessed in the last 10 s
  uint64_t within_1min = 0;  // ... in the last minute
  uint64_t resident = 0;     // all that is watched and in memory
};

// Reclaiming what was idle for `age_us`. A value.
struct ReclaimSummary {
  uint64_t age_us = 0;
  uint64_t mean_bytes = 0;       // that were idle for so long, over the record
  uint64_t last_bytes = 0;       // at its end
  uint64_t came_back_bytes = 0;  // that were accessed again after that
};

// All of it. A value.
struct RecordSummary {
  RecordHead head;  // of the last frame
  uint64_t first_us = 0;
  uint64_t last_us = 0;
  uint64_t nr_snapshots = 0;
  std::vector<NameSummary> names;      // biggest first
  std::vector<TargetSummary> targets;  // in the order in which they came
  std::vector<SummaryPoint> points;
  std::vector<ReclaimSummary> reclaim;  // by age, those up to half of the record

  [[nodiscard]] MemoryByAge last() const;
  // A sum of all points, as percentile() takes it.
  [[nodiscard]] std::vector<uint64_t> values_of(uint64_t SummaryPoint::*sum) const;
  // How much of what was reclaimed at an age was accessed again, in an hour; bytes.
  [[nodiscard]] double came_back_an_hour(const ReclaimSummary& row) const;
  // The shortest idle time after which reclaim would have brought hardly anything back: less than a
  // hundredth an hour. Null for none.
  [[nodiscard]] const ReclaimSummary* safe_reclaim() const;
};

// The value below which `percent` of `values` are (nearest rank); 0 for none.
[[nodiscard]] uint64_t percentile(std::vector<uint64_t> values, unsigned percent);

// Makes a summary of frames. Owned by one thread.
class SummaryBuilder {
 public:
  // `first_us`, `last_us`: of the record.
  SummaryBuilder(uint64_t first_us, uint64_t last_us);

  // Adds a frame; in the order of time.
  void add(const RecordFrame& frame);
  [[nodiscard]] RecordSummary finish();

  // What is told of memory by name at each point, for whoever wants more than the sums.
  using PointFn = std::function<void(uint64_t time_us, const std::vector<RecordedName>& names,
                                     const std::vector<MemoryByAge>& by_name)>;
  void on_point(PointFn fn) { on_point_ = std::move(fn); }

 private:
  struct State {
    TargetSummary summary;
    std::vector<RecordedMapping> mappings;  // with numbers of names_
    IdleMap own;
  };
  struct Sums {
    uint64_t mapped = 0;
    uint64_t untouched = 0;
    MemoryByAge by_age;
    std::vector<uint64_t> idle;  // by kReclaimAges
  };
  struct RangeSums;  // of one range

  uint32_t number_of(const RecordedName& name);
  void set_table(const RecordFrame& frame, const MappingTable& table);
  void add_regions(const RecordFrame& frame, const RecordedSnapshot& snapshot,
                   const RecordedRegions& target);
  void add_part(State& state, const RecordedMapping& mapping, AddrRange part,
                const RecordedRegion& region, const RecordFrame& frame, uint64_t time_us);
  void add_point(const RecordedSnapshot& snapshot);
  // Adds what is known of `range`, of which `resident` bytes are in memory, to `sum` and `point`.
  static void add_range(Sums& sum, SummaryPoint& point, const IdleMap& space, AddrRange range,
                        uint64_t resident);
  // How much of shared mappings is in memory, by key and offset, of the processes that are there at
  // `now`: as who knows of most says, for who is looked at last knows of the others' pages, too.
  [[nodiscard]] std::map<std::pair<std::string_view, uint64_t>, uint64_t> shared_resident(
      uint64_t now) const;
  std::vector<Sums> sums_by_name(const RecordedSnapshot& snapshot, SummaryPoint& point) const;

  RecordSummary summary_;
  uint64_t step_us_;  // between two points
  uint64_t next_point_us_ = 0;
  std::vector<RecordedName> names_;
  std::map<std::pair<std::string, std::string>, uint32_t> name_numbers_;
  std::map<uint32_t, State> targets_;  // by id
  std::map<std::string, IdleMap> shared_;
  std::vector<Sums> last_sums_;
  std::vector<MemoryByAge> totals_;  // over points, by name
  std::vector<uint64_t> idle_totals_;
  std::vector<uint64_t> came_back_;
  PointFn on_point_;
};

}  // namespace damonfs
