// The words that stand for values in DAMON's files, in the order of the enumerations.
#pragma once

#include <array>
#include <string_view>

#include "fs/damon/sysfs_objects.h"

namespace damonfs {

// All words of an enumeration, indexed by its values; defined for those below.
template <class Enum>
inline constexpr std::array<std::string_view, 0> keywords = {};

template <>
inline constexpr auto keywords<OpsId> = std::to_array<std::string_view>({"vaddr", "fvaddr",
                                                                         "paddr"});

template <>
inline constexpr auto keywords<Action> = std::to_array<std::string_view>(
    {"willneed", "cold", "pageout", "hugepage", "nohugepage", "collapse", "lru_prio", "lru_deprio",
     "migrate_hot", "migrate_cold", "stat"});

template <>
inline constexpr auto keywords<ProbeFilterType> = std::to_array<std::string_view>(
    {"anon", "memcg", "hugepage_size", "pgidle_unset", "pgidle_set"});

template <>
inline constexpr auto keywords<PrepAction> = std::to_array<std::string_view>({"set_pgidle"});

template <>
inline constexpr auto keywords<SampleFilterType> =
    std::to_array<std::string_view>({"cpumask", "threads", "write"});

template <>
inline constexpr auto keywords<FilterType> =
    std::to_array<std::string_view>({"anon", "active", "memcg", "young", "hugepage_size",
                                     "unmapped", "addr", "target", "probe_hits_wsum"});

template <>
inline constexpr auto keywords<GoalMetric> = std::to_array<std::string_view>(
    {"user_input", "some_mem_psi_us", "node_mem_used_bp", "node_mem_free_bp", "node_memcg_used_bp",
     "node_memcg_free_bp", "active_mem_bp", "inactive_mem_bp", "node_eligible_mem_bp"});

template <>
inline constexpr auto keywords<GoalTuner> = std::to_array<std::string_view>({"consist",
                                                                             "temporal"});

template <>
inline constexpr auto keywords<WatermarkMetric> =
    std::to_array<std::string_view>({"none", "free_mem_rate"});

// The word that stands for `value`.
template <class Enum>
[[nodiscard]] constexpr std::string_view keyword_of(Enum value) {
  return keywords<Enum>[static_cast<size_t>(value)];
}

}  // namespace damonfs
