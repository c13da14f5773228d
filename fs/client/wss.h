// damonfs wss: the working set of a process, exact to the page.
#pragma once

#include "core/base/result.h"
#include "fs/command/commands.h"

namespace damonfs {

// Whether the options go together; EINVAL and why not.
[[nodiscard]] Result<void> check_wss_options(const WssOptions& options);

}  // namespace damonfs
