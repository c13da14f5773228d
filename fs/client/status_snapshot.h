// Snapshots from MOUNT/damonfs/status.json, which a running kdamond is asked for at any time, where
// the tree's own files wait for the end of an aggregation interval.
#pragma once

#include <string_view>

#include "core/base/result.h"
#include "fs/client/snapshot.h"

namespace damonfs {

// The regions of all targets of the kdamond at `path` (kernel/mm/damon/admin/kdamonds/N), and what
// it works with now; `status` is the file's text. ECANCELED where the kdamond does not run, EBUSY
// where it has not answered, EPROTO where the text is not understood.
[[nodiscard]] Result<Snapshot> snapshot_of_status(std::string_view status, std::string_view path);

}  // namespace damonfs
