// The processes of this machine, by procfs.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ops/procfs/paths.h"
#include "ops/procfs/process_stat.h"

namespace damonfs {

// What /proc/PID/stat says of the process `pid`; nothing when there is none. About 15 us. Any
// thread, as the others.
[[nodiscard]] std::optional<ProcessStat> read_process_stat(const Paths& paths, pid_t pid);

// The name of the process `pid`, raw bytes; nothing when there is none. About 5 us.
[[nodiscard]] std::optional<std::string> read_comm(const Paths& paths, pid_t pid);

// All processes, in no order.
[[nodiscard]] std::vector<pid_t> list_pids(const Paths& paths);

}  // namespace damonfs
