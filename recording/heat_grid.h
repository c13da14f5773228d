// A record as a picture: addresses of a target in rows, time in columns.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/ranges.h"
#include "recording/frame.h"
#include "recording/summary.h"

namespace damonfs {

// Which addresses each row stands for. A value. Invariant: ascending, apart.
struct GridRow {
  AddrRange range;
  std::string name;  // of the memory that most of it is; empty: not known
};

// How hot each row was in each column. Owned by one thread.
class HeatGrid {
 public:
  struct Cell {
    double heat = 0;     // mean share of samples found accessed, by bytes and snapshots
    double idle_us = 0;  // mean time for which nothing was accessed; 0 where something was
    bool watched = false;
  };
  // Of `target`, from `first_us` to `last_us`; about `nr_rows` rows, and `nr_columns` at most.
  HeatGrid(const TargetSummary& target, uint64_t first_us, uint64_t last_us, size_t nr_rows,
           size_t nr_columns);

  // Adds what a frame says of the target.
  void add(const RecordFrame& frame);

  [[nodiscard]] const std::vector<GridRow>& rows() const { return rows_; }
  [[nodiscard]] size_t nr_columns() const { return nr_columns_; }
  [[nodiscard]] uint64_t column_start_us(size_t column) const;
  // A column in which no snapshot was taken shows the one before, where that had one: snapshots are
  // never exactly as far apart as columns are.
  [[nodiscard]] Cell cell(size_t row, size_t column) const;

 private:
  struct Sum {
    double bytes = 0;
    double heat = 0;  // bytes by share
    double idle = 0;  // bytes by microseconds
  };
  void add_names(const RecordFrame& frame, const MappingTable& table);
  [[nodiscard]] size_t column_of(uint64_t time_us) const;
  void add_regions(const MonitoringAttrs& attrs, size_t column,
                   const std::vector<RecordedRegion>& regions);

  uint32_t id_;
  uint64_t first_us_;
  uint64_t last_us_;
  size_t nr_columns_;
  std::vector<GridRow> rows_;
  std::vector<uint64_t> named_;  // bytes of a row that have its name
  std::vector<Sum> sums_;
  std::vector<bool> seen_;  // columns with snapshots, of any target
};

}  // namespace damonfs
