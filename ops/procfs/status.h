// What /proc/PID/status says of a process. To read it takes none of the locks of its memory.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace damonfs {

// A process or thread by its numbers (proc_pid_status(5)). A value.
struct ProcessStatus {
  pid_t tgid = 0;  // its process
  std::vector<pid_t>
      nspid;  // its own numbers, from procfs's pid namespace to its own; may be empty
  std::optional<uid_t> euid;  // the user whom it runs as (effective)
  // Bytes of its memory: anonymous, swapped out, and of files, shared memory among them. 0
  // for a kernel thread.
  uint64_t anon = 0;
  uint64_t swap = 0;
  uint64_t file = 0;
  uint64_t shmem = 0;  // of `file`, shared memory and tmpfs
};

// Nothing for a text without Tgid.
[[nodiscard]] std::optional<ProcessStatus> parse_status(std::string_view text);
// That of `directory`, such as /proc/17 or /proc/17/task/18; nothing when it cannot be read.
[[nodiscard]] std::optional<ProcessStatus> read_status(const std::string& directory);

}  // namespace damonfs
