// How much memory of a service is of which kind and was not accessed for how long.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "fs/metrics/context_summary.h"
#include "fs/metrics/idle_age.h"
#include "services/process_memory.h"

namespace damonfs {

// The kinds of memory that metrics have: those of processes, then physical memory, then memory of
// processes whose mappings are not known.
inline constexpr size_t kPhysicalKind = kNrPageKinds;
inline constexpr size_t kUnknownKind = kNrPageKinds + 1;
inline constexpr size_t kNrKinds = kNrPageKinds + 2;
inline constexpr std::array<std::string_view, kNrKinds> kKindNames = {"anon", "file", "shmem",
                                                                      "physical", "unknown"};

// One target of a service. A plain value; what it refers to outlives it.
struct AgedProcess {
  std::span<const AgedRange> ranges;
  bool physical = false;
  const std::vector<ProcessMapping>* mappings = nullptr;  // null: not known
  std::span<const size_t> groups;     // parallel to mappings: the sum that each goes into
  std::optional<ProcessUsage> usage;  // nothing: not known
};

// Bytes by age and kind. A plain value.
struct AgedMemory {
  std::array<std::array<uint64_t, kNrKinds>, kNrAges> bytes{};
  uint64_t accessed = 0;  // of all kinds, in the last aggregation interval

  [[nodiscard]] uint64_t of_age(size_t age) const;
  [[nodiscard]] uint64_t of_kind(size_t kind) const;
};

// The memory of a service that consists of `processes`.
//
// What regions say is of addresses; of these only what is mapped counts, and of each kind no more
// than is resident: idle memory of a kind is scaled to what is resident of it and was not accessed.
// So accessed bytes are as monitored, the sum of a kind is its resident size, and only how idle
// memory spreads over ages is an estimate. Without usage nothing is scaled. Files and shared memory
// that several processes map count once, as accessed last by any of them.
[[nodiscard]] AgedMemory memory_by_age(std::span<const AgedProcess> processes);

// The same in `nr_groups` sums, as AgedProcess::groups have it. What has no group goes into the
// first. Memory that is mapped in several groups counts in each.
[[nodiscard]] std::vector<AgedMemory> memory_by_group(std::span<const AgedProcess> processes,
                                                      size_t nr_groups);

}  // namespace damonfs
