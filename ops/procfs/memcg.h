// Memory cgroups, by their path in the cgroup file system.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/base/result.h"
#include "ops/procfs/paths.h"

namespace damonfs {

// The id of the memory cgroup at `path` below paths.cgroup ("/" is the root, "/a/b" one below it):
// its directory's inode number, as in bpf_get_current_cgroup_id(). One trailing newline does not
// count, otherwise only the very spelling of the kernel is known: no "a", "/a/", "//a" or
// "/a/../b". EINVAL when there is no such cgroup or it has no memory controller. Any thread.
Result<uint64_t> find_memcg(const Paths& paths, std::string_view path);

}  // namespace damonfs
