// Which processes a user means: a unit of systemd, a cgroup, a tree of processes, a name, or pids.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"

namespace damonfs {

// What was asked for; nothing is looked up yet. A value.
struct Selector {
  enum class Kind : uint8_t {
    unit,    // processes of a unit of systemd, as in redis-server.service
    cgroup,  // processes of a control group and of those below it, as in /system.slice
    tree,    // a process and its descendants, also those that got another parent since
    comm,    // all processes of that name (as in /proc/PID/comm)
    pids,    // these processes
  };
  Kind kind = Kind::pids;
  std::string name;         // of unit, cgroup and comm: raw bytes
  std::vector<pid_t> pids;  // of tree: one; of pids: one or more; else none
  // Of tree: when that process has started, in clock ticks since boot; 0: the one that has the
  // number when it is looked for first.
  uint64_t start = 0;

  friend bool operator==(const Selector&, const Selector&) = default;
};

// Each checks what can be checked without looking at the machine; EINVAL and what is wrong. A unit
// without a suffix is a service. A path of a cgroup may lack its first slash, and may begin with
// the mount point /sys/fs/cgroup.
[[nodiscard]] Result<Selector> unit_selector(std::string_view unit);
[[nodiscard]] Result<Selector> cgroup_selector(std::string_view path);
[[nodiscard]] Result<Selector> tree_selector(pid_t pid);
[[nodiscard]] Result<Selector> comm_selector(std::string_view comm);
[[nodiscard]] Result<Selector> pids_selector(const std::vector<pid_t>& pids);

// From words as the file `follow` has them: "unit NAME", "cgroup PATH", "tree PID" or
// "tree PID started TICKS", "comm NAME", "pids PID...". A name is the rest of the line, escaped as
// by escape_text(). One trailing newline does not count. EINVAL and what is wrong.
[[nodiscard]] Result<Selector> parse_selector(std::string_view text);

// The words that parse_selector() takes.
[[nodiscard]] std::string to_string(const Selector& selector);

// What a service of these processes is called, raw bytes: the name of the unit, the cgroup or the
// processes; "tree PID", "pids PID...".
[[nodiscard]] std::string service_name(const Selector& selector);

}  // namespace damonfs
