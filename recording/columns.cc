#include "recording/columns.h"

#include <algorithm>
#include <bit>
#include <cerrno>

#include "recording/varint.h"

namespace damonfs {

namespace {

constexpr uint64_t kMaxUnit = uint64_t{1} << 30;

// Age as the aggregation that it began with, which stays the same while the age grows.
int64_t birth_of(const RecordedSnapshot& snapshot, const RecordedRegion& region) {
  return static_cast<int64_t>(snapshot.nr_aggregations - region.age);
}

}  // namespace

uint64_t common_unit(const std::vector<RecordedSnapshot>& snapshots) {
  uint64_t bits = kMaxUnit;
  for (const RecordedSnapshot& snapshot : snapshots) {
    for (const RecordedRegions& target : snapshot.targets) {
      for (const RecordedRegion& region : target.regions) {
        bits |= region.range.start | region.range.end;
      }
    }
  }
  return uint64_t{1} << std::countr_zero(bits);
}

SnapshotColumns to_columns(const std::vector<RecordedSnapshot>& snapshots, uint64_t unit) {
  using C = SnapshotColumns;
  C columns;
  auto& bytes = columns.bytes;
  uint64_t time = 0;
  uint64_t aggregations = 0;
  for (const RecordedSnapshot& snapshot : snapshots) {
    put_varint(bytes[C::times], to_zigzag(static_cast<int64_t>(snapshot.time_us - time)));
    put_varint(bytes[C::aggregations],
               to_zigzag(static_cast<int64_t>(snapshot.nr_aggregations - aggregations)));
    time = snapshot.time_us;
    aggregations = snapshot.nr_aggregations;
    put_varint(bytes[C::counts], snapshot.targets.size());
    for (const RecordedRegions& target : snapshot.targets) {
      put_varint(bytes[C::counts], target.target);
      put_varint(bytes[C::counts], target.regions.size());
      uint64_t end = 0;
      for (const RecordedRegion& region : target.regions) {
        put_varint(bytes[C::gaps], (region.range.start - end) / unit);
        put_varint(bytes[C::sizes], region.range.size() / unit);
        put_varint(bytes[C::accesses], region.nr_accesses);
        put_varint(bytes[C::births], to_zigzag(birth_of(snapshot, region)));
        bytes[C::swept] += static_cast<char>(region.swept);
        end = region.range.end;
      }
    }
  }
  return columns;
}

namespace {

// Takes snapshots out of columns, one after the other.
class ColumnsReader {
 public:
  using C = SnapshotColumns;
  ColumnsReader(const std::array<std::string_view, C::kNumber>& columns, uint64_t unit,
                size_t nr_targets)
      : times_(columns[C::times]),
        aggregations_(columns[C::aggregations]),
        counts_(columns[C::counts]),
        gaps_(columns[C::gaps]),
        sizes_(columns[C::sizes]),
        accesses_(columns[C::accesses]),
        births_(columns[C::births]),
        swept_(columns[C::swept]),
        unit_(unit),
        nr_targets_(nr_targets) {}

  [[nodiscard]] bool at_end() const { return times_.at_end(); }
  // False for what cannot be.
  bool read(RecordedSnapshot& snapshot) {
    snapshot.time_us = time_ += static_cast<uint64_t>(from_zigzag(times_.next()));
    snapshot.nr_aggregations = nr_aggregations_ +=
        static_cast<uint64_t>(from_zigzag(aggregations_.next()));
    const uint64_t nr_targets = counts_.next();
    if (nr_targets > nr_targets_) return false;
    snapshot.targets.resize(nr_targets);
    for (RecordedRegions& target : snapshot.targets) {
      if (!read_target(snapshot, target)) return false;
    }
    return !times_.failed() && !aggregations_.failed() && !counts_.failed();
  }

 private:
  bool read_target(const RecordedSnapshot& snapshot, RecordedRegions& target) {
    const uint64_t number = counts_.next();
    const uint64_t nr_regions = counts_.next();
    // Each takes a byte at least.
    if (number >= nr_targets_ || nr_regions > gaps_.bytes_left()) return false;
    target.target = static_cast<uint32_t>(number);
    target.regions.resize(nr_regions);
    uint64_t end = 0;
    for (RecordedRegion& region : target.regions) {
      const uint64_t gap = gaps_.next();
      const uint64_t size = sizes_.next();
      if (gap > (UINT64_MAX - end) / unit_) return false;
      region.range.start = end + gap * unit_;
      if (size == 0 || size > (UINT64_MAX - region.range.start) / unit_) return false;
      end = region.range.end = region.range.start + size * unit_;
      region.nr_accesses = static_cast<uint32_t>(accesses_.next());
      const int64_t birth = from_zigzag(births_.next());
      region.age = static_cast<uint32_t>(snapshot.nr_aggregations - static_cast<uint64_t>(birth));
      const uint64_t swept = swept_.next();
      if (swept > static_cast<uint64_t>(SweptState::accessed)) return false;
      region.swept = static_cast<SweptState>(swept);
    }
    return !gaps_.failed() && !sizes_.failed() && !accesses_.failed() && !births_.failed() &&
           !swept_.failed();
  }

  VarintReader times_, aggregations_, counts_, gaps_, sizes_, accesses_, births_, swept_;
  uint64_t unit_;
  size_t nr_targets_;
  uint64_t time_ = 0;
  uint64_t nr_aggregations_ = 0;
};

}  // namespace

Result<std::vector<RecordedSnapshot>> from_columns(
    const std::array<std::string_view, SnapshotColumns::kNumber>& columns, uint64_t unit,
    size_t nr_targets) {
  if (unit == 0 || unit > kMaxUnit) return fail(EBADMSG, "addresses are in units of {}", unit);
  ColumnsReader reader(columns, unit, nr_targets);
  std::vector<RecordedSnapshot> snapshots;
  while (!reader.at_end()) {
    if (!reader.read(snapshots.emplace_back())) {
      return fail(EBADMSG, "snapshot {} of the frame is damaged", snapshots.size() - 1);
    }
  }
  return snapshots;
}

}  // namespace damonfs
