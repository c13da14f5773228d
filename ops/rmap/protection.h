// Processes whose memory schemes on physical addresses leave alone.
#pragma once

#include <memory>
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
  std::vector<std::shared_ptr<const Process>> processes;  // those of `pids`, in order, once held

  // Those as well whose memory is accessed past their page tables (device_access.h): it looks cold.
  bool devices = true;

  // Only this process, and those with devices.
  static ProtectedList own();

  // Adds what is written as "comm=NAME", "cgroup=/PATH" or "pid=N". EINVAL for anything else.
  Result<> add(std::string_view words);

  // Takes hold of the processes that have the numbers `pids` now: the list is of these from then
  // on, whoever gets the numbers later. Once, when all are added. ESRCH when a number is nobody's.
  Result<> hold(const Paths& paths);

  // Whether `process` is one of them, by its files as they are now; a thread group is asked by its
  // leader. One of which that is not to be known, while it exists, is: better protected than
  // harmed.
  [[nodiscard]] bool covers(const Process& process) const;
  // The same in words, without this process, such as "comm=sshd, pid=1"; empty where there is none.
  [[nodiscard]] std::string describe() const;
};

}  // namespace damonfs
