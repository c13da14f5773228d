// What a command must be allowed to do, told before it begins.
#pragma once

#include "core/base/result.h"

namespace damonfs {

// EPERM, with what to do, unless this process may mount (CAP_SYS_ADMIN, perhaps only in its own
// user namespace).
[[nodiscard]] Result<void> check_may_mount();

// EPERM, with what to do, unless this process may read and clear accessed bits of others' page
// tables (CAP_BPF and CAP_PERFMON or CAP_SYS_ADMIN, and CAP_SYS_NICE, CAP_SYS_PTRACE).
[[nodiscard]] Result<void> check_may_look();

}  // namespace damonfs
