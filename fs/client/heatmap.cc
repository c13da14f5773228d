#include "fs/client/heatmap.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "core/base/arithmetic.h"
#include "core/ranges.h"

namespace damonfs {

namespace {

// A segment narrower than this shows nothing of its inside.
constexpr size_t kMinColumns = 3;
// Each takes a line to describe.
constexpr size_t kMaxSegments = 8;

constexpr std::array<const char*, kHeatLevels + 1> kAscii = {".", ":", "-", "=", "+",
                                                             "*", "%", "#", "@"};
constexpr std::array<const char*, kHeatLevels + 1> kBars = {"·", "▁", "▂", "▃", "▄",
                                                            "▅", "▆", "▇", "█"};
// From cold to hot: grey, then blue over red and orange to nearly white.
constexpr std::array<int, kHeatLevels + 1> kColours = {236, 18, 55, 90, 125, 160, 202, 214, 229};

// Joins what is drawn as one: over gaps below a column's worth, then over all but the largest gaps,
// so that each segment can have its least columns.
RangeList join_ranges(std::span<const AddrRange> ranges, size_t width) {
  RangeList apart = join(ranges, total_size(ranges) / std::max<size_t>(width, 1));
  const size_t max = std::clamp<size_t>((width + 1) / (kMinColumns + 1), 1, kMaxSegments);
  if (apart.size() <= max) return apart;
  // Numbers of the ranges that a gap precedes, those with the largest gaps first.
  std::vector<size_t> after_gap(apart.size() - 1);
  std::iota(after_gap.begin(), after_gap.end(), 1);
  std::stable_sort(after_gap.begin(), after_gap.end(), [&](size_t a, size_t b) {
    return apart[a].start - apart[a - 1].end > apart[b].start - apart[b - 1].end;
  });
  after_gap.resize(max - 1);
  std::sort(after_gap.begin(), after_gap.end());
  RangeList joined;
  size_t first = 0;
  for (const size_t next : after_gap) {
    joined.push_back({apart[first].start, apart[next - 1].end});
    first = next;
  }
  joined.push_back({apart[first].start, apart.back().end});
  return joined;
}

const char* mark_of(const Cell& cell, Palette palette) {
  if (cell == kUnknownCell) return "?";
  if (!cell || palette == Palette::colour) return " ";
  const auto level = static_cast<size_t>(heat_level(*cell));
  return palette == Palette::ascii ? kAscii[level] : kBars[level];
}

bool is_coloured(Palette palette) {
  return palette == Palette::colour || palette == Palette::colour_bars;
}

// What turns the terminal to the colours of a level.
std::string colours_of(int level, Palette palette) {
  const int colour = kColours[static_cast<size_t>(level)];
  if (palette == Palette::colour) return fmt::format("\x1b[48;5;{}m", colour);
  return fmt::format("\x1b[38;5;{};48;5;{}m", colour, kColours[0]);
}

double seconds_of(uint64_t us) { return static_cast<double>(us) / 1e6; }

std::string why_early(const Snapshot& snapshot) {
  if (snapshot.trust == Trust::not_swept) return "too early: not all memory was looked at twice";
  return fmt::format("too early: samples of {} so far, which are still being tuned",
                     human_time(seconds_of(snapshot.attrs.sample_us)));
}

// Why no access was found.
std::string why_nothing(const Snapshot& snapshot, const SnapshotSums& sums) {
  if (sums.watched == 0) return "nothing could be looked at";
  if (snapshot.trust != Trust::settled) return why_early(snapshot);
  std::string nothing = fmt::format("nothing was accessed in {} samples",
                                    human_time(seconds_of(snapshot.attrs.sample_us)));
  if (snapshot.unknown_bytes > 0) {
    nothing += fmt::format("; {} could not be looked at", human_size(snapshot.unknown_bytes));
  }
  return nothing;
}

char segment_name(size_t i) {
  static_assert(kMaxSegments <= 26);
  return static_cast<char>('A' + i);
}

}  // namespace

AddrRange ColumnLayout::Segment::column(size_t i) const {
  return {range.start + mult_frac(range.size(), i, nr_columns),
          range.start + mult_frac(range.size(), i + 1, nr_columns)};
}

ColumnLayout::ColumnLayout(std::span<const AddrRange> ranges, size_t width) {
  const RangeList joined = join_ranges(ranges, width);
  if (joined.empty()) return;
  const size_t gaps = joined.size() - 1;
  const size_t columns = std::max(width, joined.size() + gaps) - gaps;
  const size_t min = std::max<size_t>(1, std::min(kMinColumns, columns / joined.size()));
  // What is left after everyone's least goes by size; the last column goes to who has most.
  const size_t spare = columns - min * joined.size();
  const uint64_t total = std::max<uint64_t>(total_size(joined), 1);
  size_t given = 0;
  Segment* biggest = nullptr;
  segments_.reserve(joined.size());
  for (const AddrRange& range : joined) {
    const size_t share = mult_frac(range.size(), spare, total);
    segments_.push_back({range, 0, min + share});
    given += share;
    if (!biggest || range.size() > biggest->range.size()) biggest = &segments_.back();
  }
  biggest->nr_columns += spare - given;
  size_t column = 0;
  for (Segment& segment : segments_) {
    segment.first_column = column;
    column += segment.nr_columns + 1;
  }
}

size_t ColumnLayout::width() const {
  return segments_.empty() ? 0 : segments_.back().first_column + segments_.back().nr_columns;
}

bool ColumnLayout::covers(std::span<const AddrRange> ranges) const {
  return std::all_of(ranges.begin(), ranges.end(), [&](const AddrRange& range) {
    return std::any_of(segments_.begin(), segments_.end(), [&](const Segment& segment) {
      return segment.range.start <= range.start && range.end <= segment.range.end;
    });
  });
}

std::vector<Cell> cells_of(const Snapshot& snapshot, const ColumnLayout& layout) {
  std::vector<Cell> cells(layout.width());
  const double samples = std::max<uint32_t>(snapshot.attrs.max_nr_accesses(), 1);
  auto region = snapshot.regions.begin();
  for (const auto& segment : layout.segments()) {
    for (size_t i = 0; i < segment.nr_columns; ++i) {
      const AddrRange column = segment.column(i);
      while (region != snapshot.regions.end() && region->range.end <= column.start) ++region;
      double watched = 0;
      double heat = 0;
      double unknown = 0;
      for (auto it = region; it != snapshot.regions.end() && it->range.start < column.end; ++it) {
        const auto overlap = static_cast<double>(std::min(it->range.end, column.end) -
                                                 std::max(it->range.start, column.start));
        watched += overlap;
        heat += overlap * std::min(it->nr_accesses / samples, 1.0);
        if (it->unknown) unknown += overlap;
      }
      if (watched == 0) continue;
      const bool is_unknown = heat == 0 && 2 * unknown >= watched;
      cells[segment.first_column + i] = is_unknown ? kUnknownCell : heat / watched;
    }
  }
  return cells;
}

int heat_level(double share) {
  if (!(share > 0)) return 0;
  return std::clamp(static_cast<int>(std::ceil(share * kHeatLevels)), 1, kHeatLevels);
}

std::string paint(std::span<const Cell> cells, Palette palette) {
  std::string row;
  int current = -1;
  for (const Cell& cell : cells) {
    const int level = cell ? heat_level(*cell) : -1;  // of what is unknown: none
    if (is_coloured(palette) && level != current) {
      row += level < 0 ? "\x1b[0m" : colours_of(level, palette);
      current = level;
    }
    row += mark_of(cell, palette);
  }
  if (current >= 0) row += "\x1b[0m";
  return row;
}

std::string legend(Palette palette, const MonitoringAttrs& attrs) {
  std::vector<Cell> marks;
  for (int level = 1; level <= kHeatLevels; ++level) {
    marks.emplace_back(static_cast<double>(level) / kHeatLevels);
  }
  const std::vector<Cell> none = {0.0};
  const std::string marked = fmt::format("{} not accessed, {} accessed in 1/8 .. 8/8 of ",
                                         paint(none, palette), paint(marks, palette));
  if (attrs.intervals_goal.aggrs != 0) {
    return fmt::format("{}{} samples, ? unknown", marked, attrs.max_nr_accesses());
  }
  return fmt::format("{}the {} samples taken in {}, ? unknown", marked, attrs.max_nr_accesses(),
                     human_time(seconds_of(attrs.aggr_us)));
}

std::vector<std::string> describe(const ColumnLayout& layout, size_t indent) {
  std::vector<std::string> lines;
  std::string letters(indent, ' ');
  const auto& segments = layout.segments();
  for (size_t i = 0; i < segments.size(); ++i) {
    const auto& [range, first, nr] = segments[i];
    lines.push_back(fmt::format("{} {:#x}-{:#x}  {}, {} a column", segment_name(i), range.start,
                                range.end, human_size(range.size()),
                                human_size(range.size() / nr)));
    letters.resize(indent + first, ' ');
    letters += segment_name(i);
    // The stretch that the letter stands for, where there is room to show it.
    if (letters.size() < indent + first + nr) letters.resize(indent + first + nr, '-');
  }
  lines.push_back(letters);
  return lines;
}

std::vector<std::string> summary(const Snapshot& snapshot) {
  const SnapshotSums sums = sums_of(snapshot);
  const double aggregation = seconds_of(snapshot.attrs.aggr_us);
  const double percent =
      sums.watched ? 100.0 * static_cast<double>(sums.accessed) / static_cast<double>(sums.watched)
                   : 0;
  std::vector<std::string> lines;
  const std::string mapped =
      snapshot.mapped.empty()
          ? ""
          : fmt::format(", {} of it mapped", human_size(total_size(snapshot.mapped)));
  lines.push_back(fmt::format("watched {} in {} regions{}", human_size(sums.watched),
                              snapshot.regions.size(), mapped));
  lines.push_back(
      fmt::format("accessed within {}: {} ({:.1f}%), in half of the samples or more: {}",
                  human_time(std::max(snapshot.row, aggregation)), human_size(sums.accessed),
                  percent, human_size(sums.hot)));
  const RegionView& hottest = sums.hottest;
  if (hottest.range.size() == 0) {
    lines.push_back(why_nothing(snapshot, sums));
    return lines;
  }
  lines.push_back(
      fmt::format("hottest {:#x}-{:#x} ({}): {} of {} samples, so for {}", hottest.range.start,
                  hottest.range.end, human_size(hottest.range.size()), hottest.nr_accesses,
                  snapshot.attrs.max_nr_accesses(), human_time(hottest.age * aggregation)));
  if (snapshot.unknown_bytes > 0) {
    lines.push_back(fmt::format(
        "unknown {}: shared by several processes, locked, or of a kind that cannot be made old",
        human_size(snapshot.unknown_bytes)));
  }
  if (snapshot.trust != Trust::settled) lines.push_back(why_early(snapshot));
  return lines;
}

std::string human_size(uint64_t bytes) {
  constexpr std::array<const char*, 7> kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  // What would be rounded to 1024.0 is 1.0 of the next unit.
  while (value >= 1023.95 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string human_time(double seconds) {
  if (seconds < 1) return fmt::format("{:.4g} ms", seconds * 1e3);
  if (seconds < 60) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<uint64_t>(seconds);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
}

}  // namespace damonfs
