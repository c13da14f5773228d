// Filters: which memory a scheme spares (design.rst, "Filters").
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/region.h"

namespace damonfs {

// What a filter asks of memory. The last three are answered by core, the others, page by page, by
// the operations. In the order of the tree's keywords.
enum class FilterType {
  anon,
  active,
  memcg,
  young,
  hugepage_size,
  unmapped,
  addr,
  target,
  probe_hits_wsum,
};

[[nodiscard]] inline bool handled_by_core(FilterType type) {
  return type == FilterType::addr || type == FilterType::target ||
         type == FilterType::probe_hits_wsum;
}

// One filter: it matches memory of which its question is answered `matching`, and lets it pass or
// rejects it. A plain value; only the argument of its type means something.
struct Filter {
  FilterType type = FilterType::anon;
  bool matching = false;
  bool allow = false;
  std::string memcg_path{};
  AddrRange addr{};     // in units of address
  int target_idx = 0;   // index in the context
  uint64_t min_sz = 0;  // hugepage_size: bytes, probe_hits_wsum: the sum; both inclusive
  uint64_t max_sz = 0;

  [[nodiscard]] bool in_bounds(uint64_t n) const { return min_sz <= n && n <= max_sz; }
  friend bool operator==(const Filter&, const Filter&) = default;
};

// The filters of a scheme, each list in evaluation order; the first that matches decides.
struct Filters {
  std::vector<Filter> core;
  std::vector<Filter> ops;

  // What becomes of memory that no filter matches: rejected where the last one allows, unless
  // operations' filters are still to decide.
  [[nodiscard]] bool core_default_reject() const {
    return ops.empty() && !core.empty() && core.back().allow;
  }
  [[nodiscard]] bool ops_default_reject() const { return !ops.empty() && ops.back().allow; }
  friend bool operator==(const Filters&, const Filters&) = default;
};

}  // namespace damonfs
