// The processes of a service, looked for again and again.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "ops/procfs/paths.h"
#include "services/process_events.h"
#include "services/processes.h"
#include "services/selector.h"

namespace damonfs {

// How many processes of a service are watched unless said otherwise.
inline constexpr size_t kMaxMembers = 512;

// A process: pid and start together mean one process for ever (within a boot). A value.
struct Member {
  pid_t pid = 0;
  uint64_t start = 0;  // clock ticks since boot

  friend bool operator==(const Member&, const Member&) = default;
  friend auto operator<=>(const Member&, const Member&) = default;  // NOLINT: no null pointer
};

// The processes that a selector means now. A value.
struct Members {
  std::vector<Member> processes;  // oldest first (by start, then pid)
  size_t left_out = 0;            // younger ones, beyond the bound
  std::string none;               // why there is none at all, for people; else empty
};

// Finds the processes that a selector means. Remembers what they are known by from one time to the
// next: processes of a tree stay its members when their parent ends, and pids that were named once
// never stand for another process. Leaves out what has no memory: zombies and threads of the
// kernel. One owner and thread.
class MemberFinder {
 public:
  explicit MemberFinder(Selector selector, Paths paths = {});

  [[nodiscard]] const Selector& selector() const { return selector_; }

  // The processes now, `max` at most. Cost: a cgroup takes a read for each folder of it and one for
  // each process that is new; a tree or a name takes one or two reads for each process of the
  // machine.
  [[nodiscard]] Members find(size_t max = kMaxMembers);

  // The kernel has told that `child` was forked by `parent` (both processes): it belongs to a tree
  // when its parent does, also when it gets another parent before it is looked for.
  void note_fork(pid_t parent, pid_t child);
  // Takes notice of news of the kernel. Whether the next look may find other processes for it.
  bool note(const ProcessEvent& event);
  // Whether the kernel's news tell of all that can change what is found. They do not tell when a
  // process is moved into another cgroup.
  [[nodiscard]] bool told_by_events() const {
    return selector_.kind == Selector::Kind::tree || selector_.kind == Selector::Kind::comm;
  }
  // Whether it is there now, by a look at it.
  [[nodiscard]] bool alive(const Member& member) const;
  // The process that had the number `pid` has ended: the number stands for another one from now on.
  void forget(pid_t pid) { starts_.erase(pid); }

 private:
  [[nodiscard]] bool is_known(pid_t pid) const;
  void find_of_cgroups(const std::vector<std::string>& directories, Members& members);
  void find_unit_members(Members& members);
  void find_cgroup_members(Members& members);
  void find_tree(Members& members);
  void find_comm(Members& members);
  void find_pids(Members& members);

  Selector selector_;
  Paths paths_;
  std::vector<std::string> unit_directories_;  // found last, so as not to look for them each time
  std::map<pid_t, uint64_t> starts_;           // of processes that were found last
  std::set<Member> tree_;                      // known members of a tree, also zombies
  std::map<pid_t, pid_t> forks_;               // child to parent, since the last look
  bool looked_ = false;
};

}  // namespace damonfs
