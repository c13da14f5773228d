// Processes of control groups, of both versions.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ops/procfs/paths.h"

namespace damonfs {

// The hierarchies below paths.cgroup, as folders. With version 2 alone that folder itself;
// otherwise one for each hierarchy: memory first, then that of version 2, then systemd's, then the
// others by name. Any thread, as the following.
[[nodiscard]] std::vector<std::string> cgroup_hierarchies(const Paths& paths);

// The processes in the folder `directory` of a cgroup and in those below it, in no order, each
// once. Nothing when there is no such folder. Processes that our pid namespace does not have are
// left out.
[[nodiscard]] std::optional<std::vector<pid_t>> cgroup_processes(const std::string& directory);

// The folder of the cgroup at `path` ("/" or "/a/b"). Where several hierarchies have one, the first
// that has processes in it or below. The first name of the path may be that of a hierarchy of
// version 1, as in "/memory/a/b". Nothing when there is none.
[[nodiscard]] std::optional<std::string> find_cgroup(const Paths& paths, std::string_view path);

// The folders of cgroups of the unit `unit` of systemd, which has its name; several where managers
// of users run the same unit. A walk through all cgroups.
[[nodiscard]] std::vector<std::string> find_unit(const Paths& paths, std::string_view unit);

// Units whose names begin as `unit` does, at most three, to be told when there is no `unit`.
[[nodiscard]] std::vector<std::string> similar_units(const Paths& paths, std::string_view unit);

}  // namespace damonfs
