#include "recording/summary.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/base/arithmetic.h"

namespace damonfs {

namespace {

constexpr uint64_t kSecond = 1'000'000;
constexpr uint64_t kMinute = 60 * kSecond;
constexpr uint64_t kHour = 60 * kMinute;
constexpr std::array<uint64_t, 10> kReclaimAges = {
    10 * kSecond, 30 * kSecond, kMinute, 2 * kMinute, 5 * kMinute,
    10 * kMinute, 30 * kMinute, kHour,   2 * kHour,   6 * kHour};
// More points say no more.
constexpr uint64_t kMaxPoints = 2000;
// A new age of an idle region comes from an access since the last snapshot if it is that much
// shorter than the time since then, in aggregation intervals.
constexpr uint64_t kAgeMargin = 2;

uint64_t gap_us(const RecordHead& head, const RecordedRegion& region) {
  return mult_frac(region.age, head.attrs.aggr_us, 1);
}

// What is not idle for long enough to be cold is of the first class, too.
size_t cold_class(uint64_t idle_us) {
  size_t i = 0;
  while (i + 1 < MemoryByAge::kColdUs.size() && idle_us >= MemoryByAge::kColdUs[i + 1]) ++i;
  return i;
}

// `value` by as much as `to` is smaller than `from`.
void scale(uint64_t& value, uint64_t to, uint64_t from) {
  if (to < from) value = mult_frac(value, to, from);
}

}  // namespace

uint64_t MemoryByAge::all_cold() const {
  return std::accumulate(cold.begin(), cold.end(), uint64_t{0});
}

MemoryByAge& MemoryByAge::operator+=(const MemoryByAge& other) {
  hot += other.hot;
  warm += other.warm;
  unknown += other.unknown;
  for (size_t i = 0; i < cold.size(); ++i) cold[i] += other.cold[i];
  return *this;
}

MemoryByAge RecordSummary::last() const {
  MemoryByAge sum;
  for (const NameSummary& name : names) sum += name.last;
  return sum;
}

std::vector<uint64_t> RecordSummary::values_of(uint64_t SummaryPoint::*sum) const {
  std::vector<uint64_t> values;
  values.reserve(points.size());
  for (const SummaryPoint& point : points) values.push_back(point.*sum);
  return values;
}

double RecordSummary::came_back_an_hour(const ReclaimSummary& row) const {
  const double hours = std::max(static_cast<double>(last_us - first_us), 1.0) / kHour;
  return static_cast<double>(row.came_back_bytes) / hours;
}

const ReclaimSummary* RecordSummary::safe_reclaim() const {
  constexpr double kShare = 0.01;
  for (const ReclaimSummary& row : reclaim) {
    const bool little = came_back_an_hour(row) <= kShare * static_cast<double>(row.mean_bytes);
    if (row.mean_bytes > 0 && little) return &row;
  }
  return nullptr;
}

uint64_t percentile(std::vector<uint64_t> values, unsigned percent) {
  if (values.empty()) return 0;
  const auto rank =
      static_cast<size_t>(std::ceil(percent / 100.0 * static_cast<double>(values.size())));
  const size_t i = std::clamp<size_t>(rank, 1, values.size()) - 1;
  std::nth_element(values.begin(), values.begin() + static_cast<long>(i), values.end());
  return values[i];
}

SummaryBuilder::SummaryBuilder(uint64_t first_us, uint64_t last_us)
    : step_us_((last_us - first_us) / kMaxPoints),
      idle_totals_(kReclaimAges.size()),
      came_back_(kReclaimAges.size()) {
  summary_.first_us = first_us;
  summary_.last_us = last_us;
}

uint32_t SummaryBuilder::number_of(const RecordedName& name) {
  const auto [found, added] =
      name_numbers_.try_emplace({name.name, name.kind}, static_cast<uint32_t>(names_.size()));
  if (added) {
    names_.push_back(name);
    totals_.emplace_back();
  }
  return found->second;
}

void SummaryBuilder::set_table(const RecordFrame& frame, const MappingTable& table) {
  const RecordedTarget& target = frame.targets[table.target];
  State& state = targets_[target.id];
  state.summary.target = target;
  state.mappings = table.mappings;
  RangeList own;
  for (RecordedMapping& mapping : state.mappings) {
    mapping.name = number_of(frame.names[mapping.name]);
    if (mapping.key.empty()) append_joined(own, mapping.range);
  }
  state.own.keep(own);
}

void SummaryBuilder::add_part(State& state, const RecordedMapping& mapping, AddrRange part,
                              const RecordedRegion& region, const RecordFrame& frame,
                              uint64_t time_us) {
  IdleMap* space = &state.own;
  if (!mapping.key.empty()) {
    space = &shared_[mapping.key];
    part.start = part.start - mapping.range.start + mapping.offset;
    part.end = part.end - mapping.range.start + mapping.offset;
  }
  const auto came_back = [this](uint64_t bytes, uint64_t idle_us) {
    for (size_t i = 0; i < kReclaimAges.size() && idle_us >= kReclaimAges[i]; ++i) {
      came_back_[i] += bytes;
    }
  };
  if (region.nr_accesses > 0) {
    const bool hot = 2 * region.nr_accesses >= frame.head.attrs.max_nr_accesses();
    space->touch(part, time_us, hot ? Heat::hot : Heat::warm, came_back);
    return;
  }
  if (region.swept == SweptState::unknown) {
    space->touch(part, time_us, Heat::unknown, nullptr);
    return;
  }
  const uint64_t idle_us = std::min(gap_us(frame.head, region), time_us);
  space->see(part, time_us - idle_us);
  const uint64_t margin = mult_frac(kAgeMargin, frame.head.attrs.aggr_us, 1);
  const uint64_t before_us = state.summary.last_us;
  if (before_us != 0 && idle_us + margin < time_us - before_us) {
    space->touch(part, time_us - idle_us, Heat::warm, came_back);
  }
}

void SummaryBuilder::add_regions(const RecordFrame& frame, const RecordedSnapshot& snapshot,
                                 const RecordedRegions& target) {
  State& state = targets_[frame.targets[target.target].id];
  RangeList watched;
  auto mapping = state.mappings.begin();
  for (const RecordedRegion& region : target.regions) {
    while (mapping != state.mappings.end() && mapping->range.end <= region.range.start) ++mapping;
    for (auto it = mapping; it != state.mappings.end() && it->range.start < region.range.end;
         ++it) {
      const AddrRange part{std::max(it->range.start, region.range.start),
                           std::min(it->range.end, region.range.end)};
      add_part(state, *it, part, region, frame, snapshot.time_us);
      append_joined(watched, part);
    }
  }
  RangeList& all = state.summary.watched;
  all = unite(all, watched);
  if (state.summary.first_us == 0) state.summary.first_us = snapshot.time_us;
  state.summary.last_us = snapshot.time_us;
}

std::map<std::pair<std::string_view, uint64_t>, uint64_t> SummaryBuilder::shared_resident(
    uint64_t now) const {
  std::map<std::pair<std::string_view, uint64_t>, uint64_t> resident;
  for (const auto& [id, state] : targets_) {
    if (state.summary.last_us != now) continue;
    for (const RecordedMapping& mapping : state.mappings) {
      if (mapping.key.empty()) continue;
      uint64_t& most = resident[{mapping.key, mapping.offset}];
      most = std::max(most, mapping.resident);
    }
  }
  return resident;
}

struct SummaryBuilder::RangeSums {
  MemoryByAge by_age;
  std::vector<uint64_t> idle = std::vector<uint64_t>(kReclaimAges.size());  // by age
  uint64_t untouched = 0;
  uint64_t in_minute = 0;
  uint64_t accessed = 0;

  // Adds memory that was accessed last `idle_us` ago.
  void add(uint64_t bytes, Heat heat, uint64_t idle_us) {
    if (heat == Heat::unknown && idle_us < MemoryByAge::kColdUs[0]) {
      by_age.unknown += bytes;
      return;
    }
    if (heat == Heat::idle) untouched += bytes;
    if (heat != Heat::idle && idle_us < MemoryByAge::kColdUs[0]) {
      (heat == Heat::hot && idle_us == 0 ? by_age.hot : by_age.warm) += bytes;
      if (idle_us == 0) accessed += bytes;
      return;
    }
    if (heat != Heat::idle && idle_us < kMinute) in_minute += bytes;
    // What was idle all the time may have been so for longer.
    by_age.cold[cold_class(idle_us)] += bytes;
    for (size_t i = 0; i < idle.size() && idle_us >= kReclaimAges[i]; ++i) idle[i] += bytes;
  }

  // What is accessed is in memory, though a region may be wider than that; of the rest only what
  // fits into what is.
  void fit(uint64_t resident) {
    by_age.hot = std::min(by_age.hot, resident);
    by_age.warm = std::min(by_age.warm, resident - by_age.hot);
    by_age.unknown = std::min(by_age.unknown, resident - by_age.hot - by_age.warm);
    accessed = std::min(accessed, by_age.hot + by_age.warm);
    const uint64_t cold = by_age.all_cold();
    const uint64_t cold_resident = resident - by_age.hot - by_age.warm - by_age.unknown;
    for (uint64_t& each : by_age.cold) scale(each, cold_resident, cold);
    for (uint64_t& each : idle) scale(each, cold_resident, cold);
    scale(untouched, cold_resident, cold);
    scale(in_minute, cold_resident, cold);
  }
};

void SummaryBuilder::add_range(Sums& sum, SummaryPoint& point, const IdleMap& space,
                               AddrRange range, uint64_t resident) {
  RangeSums of_range;
  space.for_each(range, [&](AddrRange part, const IdleMap::Piece& piece) {
    const uint64_t idle_us = point.time_us - std::min(piece.last_us, point.time_us);
    of_range.add(part.size(), piece.heat, idle_us);
  });
  of_range.fit(resident);
  const MemoryByAge& by_age = of_range.by_age;
  sum.mapped += range.size();
  sum.untouched += of_range.untouched;
  sum.by_age += by_age;
  for (size_t i = 0; i < sum.idle.size(); ++i) sum.idle[i] += of_range.idle[i];
  point.accessed += of_range.accessed;
  point.within_10s += by_age.hot + by_age.warm;
  point.within_1min += by_age.hot + by_age.warm + of_range.in_minute;
  point.resident += by_age.total();
}

std::vector<SummaryBuilder::Sums> SummaryBuilder::sums_by_name(const RecordedSnapshot& snapshot,
                                                               SummaryPoint& point) const {
  std::vector<Sums> sums(names_.size());
  for (Sums& each : sums) each.idle.resize(kReclaimAges.size());
  std::map<std::string, RangeList> counted;
  const uint64_t now = snapshot.time_us;
  const auto shared_bytes = shared_resident(now);
  for (const auto& [id, state] : targets_) {
    if (state.summary.last_us != now) continue;
    for (const RecordedMapping& mapping : state.mappings) {
      if (mapping.key.empty()) {
        add_range(sums[mapping.name], point, state.own, mapping.range, mapping.resident);
        continue;
      }
      const auto space = shared_.find(mapping.key);
      if (space == shared_.end()) continue;
      const AddrRange range{mapping.offset, mapping.offset + mapping.range.size()};
      const uint64_t there = std::min(shared_bytes.at({mapping.key, mapping.offset}), range.size());
      RangeList& done = counted[mapping.key];
      const RangeList rest = subtract(RangeList{range}, done);
      for (const AddrRange& part : rest) {
        add_range(sums[mapping.name], point, space->second, part,
                  mult_frac(there, part.size(), range.size()));
      }
      done = unite(done, rest);
    }
  }
  return sums;
}

void SummaryBuilder::add_point(const RecordedSnapshot& snapshot) {
  SummaryPoint& point = summary_.points.emplace_back();
  point.time_us = snapshot.time_us;
  last_sums_ = sums_by_name(snapshot, point);
  std::vector<MemoryByAge> by_name;
  for (size_t i = 0; i < last_sums_.size(); ++i) {
    totals_[i] += last_sums_[i].by_age;
    by_name.push_back(last_sums_[i].by_age);
    for (size_t age = 0; age < idle_totals_.size(); ++age) {
      idle_totals_[age] += last_sums_[i].idle[age];
    }
  }
  if (on_point_) on_point_(snapshot.time_us, names_, by_name);
}

void SummaryBuilder::add(const RecordFrame& frame) {
  summary_.head = frame.head;
  for (size_t i = 0; i < frame.snapshots.size(); ++i) {
    const RecordedSnapshot& snapshot = frame.snapshots[i];
    for (const MappingTable& each : frame.mappings) {
      if (each.from == i) set_table(frame, each);
    }
    for (const RecordedRegions& target : snapshot.targets) add_regions(frame, snapshot, target);
    ++summary_.nr_snapshots;
    const bool last = snapshot.time_us >= summary_.last_us;
    if (snapshot.time_us < next_point_us_ && !last) continue;
    next_point_us_ = snapshot.time_us + step_us_;
    add_point(snapshot);
  }
}

RecordSummary SummaryBuilder::finish() {
  const uint64_t nr_points = std::max<uint64_t>(summary_.points.size(), 1);
  for (size_t i = 0; i < last_sums_.size(); ++i) {
    NameSummary& name = summary_.names.emplace_back();
    name.name = names_[i];
    name.mapped = last_sums_[i].mapped;
    name.last = last_sums_[i].by_age;
    name.untouched = last_sums_[i].untouched;
    name.mean = totals_[i];
    for (uint64_t* sum : {&name.mean.hot, &name.mean.warm, &name.mean.unknown}) *sum /= nr_points;
    for (uint64_t& sum : name.mean.cold) sum /= nr_points;
  }
  std::stable_sort(
      summary_.names.begin(), summary_.names.end(),
      [](const NameSummary& a, const NameSummary& b) { return a.last.total() > b.last.total(); });
  for (const auto& [id, state] : targets_) summary_.targets.push_back(state.summary);
  const uint64_t length = summary_.last_us - summary_.first_us;
  for (size_t i = 0; i < kReclaimAges.size() && 2 * kReclaimAges[i] <= length; ++i) {
    uint64_t last = 0;
    for (const Sums& sums : last_sums_) last += sums.idle[i];
    summary_.reclaim.push_back({kReclaimAges[i], idle_totals_[i] / nr_points, last, came_back_[i]});
  }
  return std::move(summary_);
}

}  // namespace damonfs
