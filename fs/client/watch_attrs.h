// How `damonfs watch` monitors.
#pragma once

#include "core/attrs.h"
#include "core/base/result.h"
#include "fs/command/commands.h"

namespace damonfs {

// The intervals that the options fix; else the kernel's defaults with a goal, by which the sampling
// interval is tuned: that one in 25 of the accesses that samples could see are seen. It stays so
// short that an aggregation takes no longer than a second, or than a row. Of --sample and --aggr
// the one that is missing is made to fit the other: 20 samples an aggregation.
[[nodiscard]] MonitoringAttrs watch_attrs(const WatchOptions& options);

// EINVAL with a sentence for intervals that cannot be.
[[nodiscard]] Result<void> check_watch_attrs(const WatchOptions& options);

}  // namespace damonfs
