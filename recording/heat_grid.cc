#include "recording/heat_grid.h"

#include <algorithm>

#include "core/base/arithmetic.h"

namespace damonfs {

namespace {

// Rows for `ranges`: each range has one at least, more by its size.
std::vector<GridRow> make_rows(const RangeList& ranges, size_t nr_rows, uint64_t page) {
  std::vector<GridRow> rows;
  const uint64_t total = std::max<uint64_t>(total_size(ranges), 1);
  for (const AddrRange& range : ranges) {
    const uint64_t pages = std::max<uint64_t>(range.size() / page, 1);
    const uint64_t share = mult_frac(range.size(), nr_rows, total);
    const uint64_t nr = std::clamp<uint64_t>(share, 1, pages);
    uint64_t start = range.start;
    for (uint64_t i = 1; i <= nr; ++i) {
      uint64_t end = range.start + mult_frac(range.size(), i, nr);
      if (i != nr) end = align_down(end, page);
      if (end <= start) continue;
      rows.push_back({{start, end}, {}});
      start = end;
    }
  }
  return rows;
}

// The biggest of `ranges`, in their order.
RangeList biggest(RangeList ranges, size_t number) {
  if (ranges.size() <= number) return ranges;
  std::stable_sort(ranges.begin(), ranges.end(),
                   [](const AddrRange& a, const AddrRange& b) { return a.size() > b.size(); });
  ranges.resize(number);
  std::sort(ranges.begin(), ranges.end(),
            [](const AddrRange& a, const AddrRange& b) { return a.start < b.start; });
  return ranges;
}

}  // namespace

HeatGrid::HeatGrid(const TargetSummary& target, uint64_t first_us, uint64_t last_us, size_t nr_rows,
                   size_t nr_columns)
    : id_(target.target.id),
      first_us_(first_us),
      last_us_(last_us),
      nr_columns_(std::max<size_t>(nr_columns, 1)),
      rows_(make_rows(biggest(target.watched, nr_rows / 2), nr_rows, 4096)),
      named_(rows_.size()),
      sums_(rows_.size() * nr_columns_),
      seen_(nr_columns_) {}

uint64_t HeatGrid::column_start_us(size_t column) const {
  return first_us_ + mult_frac(last_us_ - first_us_ + 1, column, nr_columns_);
}

HeatGrid::Cell HeatGrid::cell(size_t row, size_t column) const {
  if (!seen_[column] && column > 0 && seen_[column - 1]) --column;
  const Sum& sum = sums_[row * nr_columns_ + column];
  if (sum.bytes <= 0) return {};
  return {sum.heat / sum.bytes, sum.idle / sum.bytes, true};
}

void HeatGrid::add_names(const RecordFrame& frame, const MappingTable& table) {
  size_t row = 0;
  for (const RecordedMapping& mapping : table.mappings) {
    while (row < rows_.size() && rows_[row].range.end <= mapping.range.start) ++row;
    for (size_t i = row; i < rows_.size() && rows_[i].range.start < mapping.range.end; ++i) {
      const uint64_t bytes = std::min(rows_[i].range.end, mapping.range.end) -
                             std::max(rows_[i].range.start, mapping.range.start);
      if (bytes <= named_[i]) continue;
      named_[i] = bytes;
      rows_[i].name = frame.names[mapping.name].name;
    }
  }
}

size_t HeatGrid::column_of(uint64_t time_us) const {
  return std::min<size_t>(mult_frac(time_us - first_us_, nr_columns_, last_us_ - first_us_ + 1),
                          nr_columns_ - 1);
}

void HeatGrid::add_regions(const MonitoringAttrs& attrs, size_t column,
                           const std::vector<RecordedRegion>& regions) {
  const double samples = std::max<uint32_t>(attrs.max_nr_accesses(), 1);
  size_t row = 0;
  for (const RecordedRegion& region : regions) {
    while (row < rows_.size() && rows_[row].range.end <= region.range.start) ++row;
    const double share = std::min(region.nr_accesses / samples, 1.0);
    const double idle = region.nr_accesses != 0 || region.swept == SweptState::unknown
                            ? 0
                            : static_cast<double>(region.age) * static_cast<double>(attrs.aggr_us);
    for (size_t i = row; i < rows_.size() && rows_[i].range.start < region.range.end; ++i) {
      const auto bytes = static_cast<double>(std::min(rows_[i].range.end, region.range.end) -
                                             std::max(rows_[i].range.start, region.range.start));
      Sum& sum = sums_[i * nr_columns_ + column];
      sum.bytes += bytes;
      sum.heat += bytes * share;
      sum.idle += bytes * idle;
    }
  }
}

void HeatGrid::add(const RecordFrame& frame) {
  for (const MappingTable& table : frame.mappings) {
    if (frame.targets[table.target].id == id_) add_names(frame, table);
  }
  for (const RecordedSnapshot& snapshot : frame.snapshots) {
    if (snapshot.time_us < first_us_ || snapshot.time_us > last_us_) continue;
    const size_t column = column_of(snapshot.time_us);
    seen_[column] = true;
    for (const RecordedRegions& target : snapshot.targets) {
      if (frame.targets[target.target].id != id_) continue;
      add_regions(frame.head.attrs, column, target.regions);
    }
  }
}

}  // namespace damonfs
