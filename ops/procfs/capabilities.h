// What the kernel lets this process do.
#pragma once

#include <linux/capability.h>

#include <cstdint>

#include "ops/procfs/paths.h"

namespace damonfs {

// A set of capabilities, bit CAP_x for each. A plain value.
struct Capabilities {
  uint64_t bits = 0;

  [[nodiscard]] bool has(int capability) const { return (bits >> capability & 1) != 0; }

  // Those of the calling process that are in effect (/proc/self/status); none if that is not
  // readable. They may count in a user namespace of its own only.
  static Capabilities effective(const Paths& paths);
};

}  // namespace damonfs
