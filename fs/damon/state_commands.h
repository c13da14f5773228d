// The file `state` of a kdamond: what is written there are commands.
#pragma once

#include <string_view>

#include "core/base/result.h"
#include "fs/tree/node.h"

namespace damonfs {

// Carries out the command `text` for the kdamond directory of `call`. Waits for the kdamond without
// the tree's lock. EBUSY while another command for it waits, and to `on` when it or a module runs;
// EINVAL for an unknown word, for all but `off` without exactly one context, and for what needs a
// kdamond that never ran; ECANCELED (`off`: EPERM) when it has ended; EINTR when the caller gave
// up; otherwise what the configuration is refused with.
Result<void> store_state(const Call& call, std::string_view text);

}  // namespace damonfs
