// The actions of schemes: the one table of them.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "core/operations.h"

namespace damonfs {

// What a scheme does to a region. In the order of the kernel's numbers, which trace events carry.
enum class Action {
  willneed,
  cold,
  pageout,
  hugepage,
  nohugepage,
  collapse,
  lru_prio,
  lru_deprio,
  migrate_hot,
  migrate_cold,
  stat,
};

// Which regions an action is for first, where a quota does not let it reach all.
enum class Priority { any, hot, cold };

// One row of the table. Where an action is not done it is tried and not applied, whoever has the
// memory: a real machine or a pattern.
struct ActionTraits {
  std::string_view name;  // as the tree has it
  bool vaddr;             // done to virtual addresses (vaddr, fvaddr)
  bool paddr;             // done to physical ones
  Priority priority;
};

// Indexed by Action. A new action is a row here and its implementation in ops (VaddrActions,
// PaddrActions, SyntheticActions).
inline constexpr std::array<ActionTraits, 11> kActions = {{
    {"willneed", true, false, Priority::any},
    {"cold", true, false, Priority::any},
    {"pageout", true, true, Priority::cold},
    {"hugepage", true, false, Priority::any},
    // The kernel's vaddr does it; it takes MADV_NOHUGEPAGE only from the process itself.
    {"nohugepage", false, false, Priority::any},
    {"collapse", true, false, Priority::any},
    {"lru_prio", false, true, Priority::hot},
    {"lru_deprio", false, true, Priority::cold},
    {"migrate_hot", true, true, Priority::hot},
    {"migrate_cold", true, true, Priority::cold},
    {"stat", true, true, Priority::any},
}};

[[nodiscard]] constexpr const ActionTraits& traits_of(Action action) {
  return kActions[static_cast<size_t>(action)];
}

// Whether `action` is done to the address space that `id` is for.
[[nodiscard]] constexpr bool is_done_to(OpsId id, Action action) {
  return id == OpsId::paddr ? traits_of(action).paddr : traits_of(action).vaddr;
}

}  // namespace damonfs
