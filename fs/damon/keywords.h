// The words that stand for values in DAMON's files, in the order of the enumerations.
#pragma once

#include <array>
#include <string_view>

#include "core/actions.h"
#include "fs/damon/sysfs_objects.h"
#include "fs/tree/keywords.h"

namespace damonfs {

template <>
inline constexpr auto keywords<OpsId> = std::to_array<std::string_view>({"vaddr", "fvaddr",
                                                                         "paddr"});

template <>
inline constexpr auto keywords<Action> = [] {
  std::array<std::string_view, kActions.size()> words;
  for (size_t i = 0; i < words.size(); ++i) words[i] = kActions[i].name;
  return words;
}();

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
     "node_memcg_free_bp", "active_mem_bp", "inactive_mem_bp", "node_eligible_mem_bp",
     "hugepage_mem_bp"});

template <>
inline constexpr auto keywords<GoalTuner> = std::to_array<std::string_view>({"consist",
                                                                             "temporal"});

template <>
inline constexpr auto keywords<WatermarkMetric> =
    std::to_array<std::string_view>({"none", "free_mem_rate"});

}  // namespace damonfs
