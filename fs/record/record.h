// `damonfs record`: writes what monitoring finds to a file (docs/record.md). run_record() itself is
// declared in fs/command/commands.h, with the other commands.
#pragma once

#include "core/base/result.h"
#include "fs/command/commands.h"

namespace damonfs {

// EINVAL with a sentence for options that do not go together.
[[nodiscard]] Result<void> check_record_options(const RecordOptions& options);

}  // namespace damonfs
