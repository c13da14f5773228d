// From what users wrote to a context that a kdamond can run, with every check that `on` and
// `commit` make.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "core/context.h"
#include "core/machine.h"
#include "core/quota.h"
#include "fs/damon/sysfs_objects.h"

namespace damonfs {

// What the write of `pid` to a pid_target by the process `writer` does: takes hold of the process
// that this number means to the writer now. That there may be none is told when a context is built.
void name_process(SysfsTarget& target, int pid, int writer, const Machine& machine);

// Makes the context that `files` (a copy: no lock is held) ask for. Any thread. EINVAL for what
// cannot be watched so; ENOMEM, as the kernel, for every fault of a scheme. The first fault in the
// kernel's order counts. For a commit `running` says which operations the kdamond has: if it can go
// on with them the context comes without.
Result<std::unique_ptr<Context>> build_context(const SysfsContext& files, const Machine& machine,
                                               std::optional<OpsId> running = std::nullopt);

// EINVAL when a target is marked obsolete: there is nothing yet that it could take the place of.
// For `on`, after all other checks.
Result<void> check_none_obsolete(const SysfsContext& files);

// The goals that count, for `commit_schemes_quota_goals` and as a part of build_context(). EINVAL
// for an unknown memory cgroup.
Result<std::vector<QuotaGoal>> build_goals(const Numbered<QuotaGoal>& files,
                                           const Machine& machine);

}  // namespace damonfs
