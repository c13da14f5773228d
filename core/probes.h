// Probes: what else than accesses a context counts of its regions (design.rst, "Data Attributes
// Monitoring", "Data Attributes-only Monitoring").
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/filter_rule.h"

namespace damonfs {

inline constexpr size_t kMaxProbes = 4;  // of a context

// What a probe's filter asks of a sampled page. In the order of the tree's keywords.
enum class ProbeFilterType { anon, memcg, hugepage_size, pgidle_unset, pgidle_set };

// One filter: it matches a page of which its question is answered `matching`, and has the probe hit
// or miss it. A plain value; only the argument of its type means something.
struct ProbeFilter {
  ProbeFilterType type = ProbeFilterType::anon;
  bool matching = false;
  bool allow = false;
  std::string path{};   // memory cgroup
  uint64_t min_sz = 0;  // hugepage_size: bytes, both inclusive
  uint64_t max_sz = 0;

  [[nodiscard]] bool in_bounds(uint64_t n) const { return min_sz <= n && n <= max_sz; }
  friend bool operator==(const ProbeFilter&, const ProbeFilter&) = default;
};

// What is done to a sampled page before its sampling interval begins: it becomes idle, not accessed
// that is, until it is accessed again.
enum class PrepAction { set_pgidle };

// One probe; a plain value.
struct Probe {
  std::vector<PrepAction> preps;
  std::vector<ProbeFilter> filters;
  uint32_t weight = 0;

  // Whether it hits a page of which `ask`, bool(const ProbeFilter&), answers the filters'
  // questions.
  template <class Ask>
  [[nodiscard]] bool hits(const Ask& ask) const {
    return filters_pass(filters, ask);
  }
  // Whether some filter is of `type`.
  [[nodiscard]] bool asks(ProbeFilterType type) const {
    for (const ProbeFilter& filter : filters) {
      if (filter.type == type) return true;
    }
    return false;
  }
  friend bool operator==(const Probe&, const Probe&) = default;
};

// Whether some probe has sampled pages made idle before their interval.
[[nodiscard]] inline bool prepare_idle(std::span<const Probe> probes) {
  return std::ranges::any_of(probes, [](const Probe& probe) { return !probe.preps.empty(); });
}

// Whether some probe asks for pages that are idle, or not.
[[nodiscard]] inline bool ask_for_idle(std::span<const Probe> probes) {
  return std::ranges::any_of(probes, [](const Probe& probe) {
    return probe.asks(ProbeFilterType::pgidle_unset) || probe.asks(ProbeFilterType::pgidle_set);
  });
}

// Samples that hit each probe of a context, in their order; as wide as the kernel's counters.
using ProbeHits = std::array<uint8_t, kMaxProbes>;

// Counts a hit; stays at the largest number that there is.
inline void count_hit(uint8_t& hits) {
  if (hits < UINT8_MAX) ++hits;
}

// Whether regions are told apart by their hits, and not by accesses, which nobody counts then.
[[nodiscard]] inline bool have_weight(std::span<const Probe> probes) {
  for (const Probe& probe : probes) {
    if (probe.weight != 0) return true;
  }
  return false;
}

// Sum of hits, each times its probe's weight.
[[nodiscard]] inline uint64_t weighted_sum(std::span<const Probe> probes, const ProbeHits& hits) {
  uint64_t sum = 0;
  for (size_t p = 0; p < probes.size(); ++p) sum += uint64_t{probes[p].weight} * hits[p];
  return sum;
}

}  // namespace damonfs
