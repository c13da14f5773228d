// Processes that schemes leave alone.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "ops/procfs/paths.h"

namespace damonfs {

// A process whose memory is accessed past its page tables (device_access.h). A plain value.
struct SparedProcess {
  pid_t pid = 0;
  std::string name;    // its comm
  std::string access;  // as device_access()
};

// All that there are now whose descriptors can be looked at, by their numbers. Takes as long as a
// look at each descriptor of the machine.
[[nodiscard]] std::vector<SparedProcess> find_spared(const Paths& paths);

}  // namespace damonfs
