// What /proc/PID/stat says of a process.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace damonfs {

// A process by that file. A value.
struct ProcessStat {
  pid_t pid = 0;
  pid_t parent = 0;
  pid_t group = 0;     // process group: the pid of its first process, which may have ended
  pid_t session = 0;   // the same of the session
  uint64_t start = 0;  // clock ticks since boot; with the pid it tells a process from all others
  uint64_t major_faults = 0;  // pages that it waited for, from swap or a disk
  std::string comm;           // raw bytes
  bool of_kernel = false;     // a thread of the kernel
  bool has_memory = true;     // neither of the kernel nor ended
};

// From text of the format of proc_pid_stat(5); nothing for another text.
[[nodiscard]] std::optional<ProcessStat> parse_process_stat(std::string_view text);

}  // namespace damonfs
