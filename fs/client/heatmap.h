// Drawing snapshots: address space from left to right, time from top to bottom, heat as marks.
// Nothing here knows where snapshots come from or where the drawing goes.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "fs/client/snapshot.h"

namespace damonfs {

// Which addresses each column of a heat map stands for. Big gaps between watched ranges get one
// empty column each, whatever their size; within a segment every column stands for the same number
// of bytes. A plain value. Invariant: segments ascend, at least one column each.
class ColumnLayout {
 public:
  // A stretch of address space that has columns [first_column, first_column + nr_columns).
  struct Segment {
    AddrRange range;
    size_t first_column = 0;
    size_t nr_columns = 0;

    // The addresses of the segment's column `i`.
    [[nodiscard]] AddrRange column(size_t i) const;
  };

  ColumnLayout() = default;
  // Lays `ranges` (ascending, apart) over `width` columns. A gap that would take less than a
  // column, and the smallest ones where segments would get too narrow, are drawn to scale.
  ColumnLayout(std::span<const AddrRange> ranges, size_t width);

  [[nodiscard]] const std::vector<Segment>& segments() const { return segments_; }
  // Columns in all, those of gaps included.
  [[nodiscard]] size_t width() const;
  // Whether every one of `ranges` lies within a segment.
  [[nodiscard]] bool covers(std::span<const AddrRange> ranges) const;

 private:
  std::vector<Segment> segments_;
};

// One column of a row: the mean share of samples, over its watched bytes, that found the page
// accessed, 0 to 1; nothing where no byte is watched. kUnknownCell where nothing was accessed and
// at least half of the bytes are unknown.
using Cell = std::optional<double>;
inline constexpr double kUnknownCell = -1;

[[nodiscard]] std::vector<Cell> cells_of(const Snapshot& snapshot, const ColumnLayout& layout);

// How heat is shown.
enum class Palette {
  ascii,        // . : - = + * % # @
  bars,         // eighths of a block, for UTF-8 without colour
  colour,       // spaces on a background of the 256-colour palette
  colour_bars,  // eighths of a block in that colour, for UTF-8
};

// Marks between "no access" and "accessed in every sample"; any access gets at least the first.
inline constexpr int kHeatLevels = 8;
[[nodiscard]] int heat_level(double share);

// A row of marks ('?' for what is unknown), one character wide each; a coloured one ends with the
// colours reset.
[[nodiscard]] std::string paint(std::span<const Cell> cells, Palette palette);

// The marks and what they mean, in one line.
[[nodiscard]] std::string legend(Palette palette, const MonitoringAttrs& attrs);

// Lines that say which addresses the columns stand for: one for each segment, named by letters, and
// one with the letters over their columns, shifted right by `indent`.
[[nodiscard]] std::vector<std::string> describe(const ColumnLayout& layout, size_t indent);

// What a snapshot amounts to, in a few lines.
[[nodiscard]] std::vector<std::string> summary(const Snapshot& snapshot);

// "16.0 MiB", "0 B".
[[nodiscard]] std::string human_size(uint64_t bytes);
// "100 ms", "2.5 s", "3 min 20 s".
[[nodiscard]] std::string human_time(double seconds);

}  // namespace damonfs
