// What `damonfs top` shows, as it was found at one moment.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fs/client/snapshot.h"
#include "services/process_memory.h"

namespace damonfs {

// A mapping with its name. A plain value; the name is escaped.
struct TopMapping {
  ProcessMapping mapping;
  std::string name;
};

// One target. A plain value.
struct TopProcess {
  pid_t pid = 0;     // -1: physical memory
  std::string name;  // escaped
  std::vector<RegionView> regions;
  std::vector<TopMapping> mappings;   // ascending; empty when they are not known
  std::optional<ProcessUsage> usage;  // nothing: not known
};

// One kdamond that runs. A plain value.
struct TopService {
  std::string name;  // escaped
  MonitoringAttrs attrs;
  std::vector<TopProcess> processes;
};

// All of it. A plain value.
struct TopInput {
  double time = 0;     // seconds of a clock that does not go back
  double watched = 0;  // seconds since monitoring began, as far as known; else big
  std::string source;  // where it comes from, for the title
  std::vector<TopService> services;
};

}  // namespace damonfs
