// Processes whose memory schemes on physical addresses leave alone.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "ops/procfs/process.h"

namespace damonfs {

// Who is protected: this process always, and what a user names. A plain value.
struct ProtectedList {
  std::vector<std::string> comms;    // names as in /proc/PID/comm
  std::vector<std::string> cgroups;  // paths below the cgroup mount; those below them as well
  std::vector<pid_t> pids;           // this process's among them

  // Only this process.
  static ProtectedList own();

  // Adds what is written as "comm=NAME", "cgroup=/PATH" or "pid=N". EINVAL for anything else.
  Result<> add(std::string_view words);

  // Whether `process` is one of them, by its files as they are now; a thread group is asked by its
  // leader. One of which that is not to be known, while it exists, is: better spared than harmed.
  [[nodiscard]] bool covers(const Process& process) const;
  // The same in words, without this process, such as "comm=sshd, pid=1"; empty where there is none.
  [[nodiscard]] std::string describe() const;
};

}  // namespace damonfs
