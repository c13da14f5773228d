// MOUNT/damonfs/targets/processes: which process each pid_target holds, beside the kernel's
// interface. A number alone does not say: it may have passed on since it was written.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "fs/tree/node.h"

namespace damonfs {

// A line of the file. A plain value.
struct PinnedTarget {
  int32_t pid = 0;       // as pid_target shows it
  std::string identity;  // as TargetHandle::identity(); kNoProcess where none is held
};
inline constexpr std::string_view kNoProcess = "none";

// Adds the file to a tree that has kernel/mm/damon/admin, and damonfs where that is missing. It has
// a line "kdamonds/K/contexts/C/targets/T PID IDENTITY" for each target whose pid_target is not 0,
// but for those of processes that are only described.
void add_pinned_targets(Tree& tree);

// By the path below admin, what is in such a file. Lines of another format are left out.
[[nodiscard]] std::map<std::string, PinnedTarget, std::less<>> parse_pinned_targets(
    std::string_view text);

}  // namespace damonfs
