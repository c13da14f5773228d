// The processes of this machine, by procfs.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ops/procfs/paths.h"

namespace damonfs {

// What /proc/PID/stat says of a process. A value.
struct ProcessStat {
  pid_t pid = 0;
  pid_t parent = 0;
  pid_t group = 0;     // process group: the pid of its first process, which may have ended
  pid_t session = 0;   // the same of the session
  uint64_t start = 0;  // clock ticks since boot; with the pid it tells a process from all others
  uint64_t major_faults = 0;  // pages that it waited for, from swap or a disk
  std::string comm;           // raw bytes
  bool has_memory = true;     // neither a thread of the kernel nor ended
};

// From text of the format of proc_pid_stat(5); nothing for another text.
[[nodiscard]] std::optional<ProcessStat> parse_process_stat(std::string_view text);

// That of the process `pid`; nothing when there is none. About 15 us. Any thread, as the others.
[[nodiscard]] std::optional<ProcessStat> read_process_stat(const Paths& paths, pid_t pid);

// The name of the process `pid`, raw bytes; nothing when there is none. About 5 us.
[[nodiscard]] std::optional<std::string> read_comm(const Paths& paths, pid_t pid);

// All processes, in no order.
[[nodiscard]] std::vector<pid_t> list_pids(const Paths& paths);

}  // namespace damonfs
