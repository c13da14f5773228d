// The text of MOUNT/damonfs/status.json: what every kdamond of the tree really works with.
#pragma once

#include <chrono>
#include <span>
#include <stop_token>
#include <string>

#include "core/base/result.h"
#include "fs/damonfs/kdamond_places.h"

namespace damonfs {

// The daemon that is reported on. A plain value.
struct DaemonFacts {
  std::string backend;
  bool dry_run = false;
};

// Asks all kdamonds at once and waits for what they say, for `patience` at most; one that has
// not answered by then is reported as busy. The file's text, in JSON (docs/status.md). EINTR when
// `interrupt` is requested. Without the tree's lock; any thread.
[[nodiscard]] Result<std::string> status_text(const DaemonFacts& daemon,
                                              std::span<const KdamondPlace> places,
                                              std::chrono::milliseconds patience,
                                              const std::stop_token& interrupt);

}  // namespace damonfs
