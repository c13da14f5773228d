// The rows of `damonfs top`: how much memory of each service, process or mapping is hot, warm and
// cold.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "fs/top/top_input.h"

namespace damonfs {

// What a row is of.
enum class TopGroup { service, process, mapping };
// What rows are sorted by; sizes from the biggest, names from A.
enum class TopSort { hot, warm, cold, name };

// One row. A plain value. Bytes; memory is `hot` when half of the samples or more of the last
// aggregation interval found it accessed, `cold` when it was not accessed for ten seconds (or since
// monitoring began), and else `warm`.
struct TopRow {
  std::string key;   // tells it from all others of its group; never shown
  std::string name;  // escaped
  uint64_t hot = 0;
  uint64_t warm = 0;
  uint64_t cold = 0;
};

// What is not accessed for so long is cold.
inline constexpr double kColdSeconds = 10;

// The rows of `input`, in no order. Sizes are of resident memory, as for metrics
// (fs/metrics/memory_by_age.h).
[[nodiscard]] std::vector<TopRow> rows_of(const TopInput& input, TopGroup group);

// Equal ones by their names.
void sort_rows(std::vector<TopRow>& rows, TopSort sort);

}  // namespace damonfs
