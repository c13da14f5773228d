// Snapshots as columns of numbers, which compress far better than rows.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "recording/frame.h"

namespace damonfs {

// The columns of a frame, in the order in which they are stored (docs/design/record-format.md).
struct SnapshotColumns {
  enum Column : size_t { times, aggregations, counts, gaps, sizes, accesses, births, swept };
  static constexpr size_t kNumber = 8;
  std::array<std::string, kNumber> bytes;
};

// `unit`: bytes that addresses are counted in; all are multiples of it.
[[nodiscard]] SnapshotColumns to_columns(const std::vector<RecordedSnapshot>& snapshots,
                                         uint64_t unit);

// The largest power of two that all addresses of `snapshots` are multiples of, a gibibyte at most.
[[nodiscard]] uint64_t common_unit(const std::vector<RecordedSnapshot>& snapshots);

// EBADMSG for what to_columns() cannot have made of snapshots with `nr_targets` targets.
[[nodiscard]] Result<std::vector<RecordedSnapshot>> from_columns(
    const std::array<std::string_view, SnapshotColumns::kNumber>& columns, uint64_t unit,
    size_t nr_targets);

}  // namespace damonfs
