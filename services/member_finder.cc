#include "services/member_finder.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "services/cgroups.h"
#include "services/escape.h"

namespace damonfs {
namespace {

// The kernel keeps that many bytes of a name.
constexpr size_t kCommSize = 15;
// The start of what has no memory.
constexpr uint64_t kNoMemory = UINT64_MAX;

using ProcessTable = std::map<pid_t, ProcessStat>;

ProcessTable read_processes(const Paths& paths) {
  ProcessTable table;
  for (const pid_t pid : list_pids(paths)) {
    if (auto stat = read_process_stat(paths, pid)) table.emplace(pid, *std::move(stat));
  }
  return table;
}

// Whether `process` descends from a member by what the kernel says now: its parent is one; or the
// first process of its group or session was one, whose number is not given away while the group or
// session exists.
bool descends(const ProcessStat& process, const std::map<pid_t, uint64_t>& members) {
  for (const pid_t above : {process.parent, process.group, process.session}) {
    const auto member = members.find(above);
    if (member != members.end() && member->second <= process.start) return true;
  }
  return false;
}

// Which of the children in `forks` (child to parent) descend from a member, also when those in
// between have ended.
std::set<pid_t> forked_by(const std::map<pid_t, uint64_t>& members,
                          const std::map<pid_t, pid_t>& forks) {
  std::set<pid_t> forked;
  for (bool grown = true; grown;) {
    grown = false;
    for (const auto& [child, parent] : forks) {
      const bool of_tree = members.contains(parent) || forked.contains(parent);
      if (of_tree && forked.insert(child).second) grown = true;
    }
  }
  return forked;
}

}  // namespace

MemberFinder::MemberFinder(Selector selector, Paths paths)
    : selector_(std::move(selector)), paths_(std::move(paths)) {}

bool MemberFinder::is_known(pid_t pid) const {
  if (selector_.kind != Selector::Kind::tree) return starts_.contains(pid);
  const auto member = tree_.lower_bound({pid, 0});
  return forks_.contains(pid) || (member != tree_.end() && member->pid == pid);
}

bool MemberFinder::note(const ProcessEvent& event) {
  switch (event.kind) {
    case ProcessEvent::Kind::fork:
      if (!is_known(event.parent)) {
        forget(event.process);
        return false;
      }
      note_fork(event.parent, event.process);
      return true;
    case ProcessEvent::Kind::exec:
    case ProcessEvent::Kind::renamed:
      return selector_.kind == Selector::Kind::comm;
    case ProcessEvent::Kind::exited: {
      const bool known = is_known(event.process);
      forget(event.process);
      return known;
    }
    case ProcessEvent::Kind::lost:
      return true;
  }
  return true;
}

bool MemberFinder::alive(const Member& member) const {
  const auto stat = read_process_stat(paths_, member.pid);
  return stat && stat->has_memory && stat->start == member.start;
}

void MemberFinder::note_fork(pid_t parent, pid_t child) {
  if (selector_.kind == Selector::Kind::tree) forks_[child] = parent;
  forget(child);
}

void MemberFinder::find_of_cgroups(const std::vector<std::string>& directories, Members& members) {
  std::map<pid_t, uint64_t> starts;
  for (const std::string& directory : directories) {
    const auto listed = cgroup_processes(directory);
    if (!listed) continue;
    for (const pid_t pid : *listed) {
      const auto known = starts_.find(pid);
      if (known != starts_.end() && known->second != kNoMemory) {
        starts.insert(*known);
      } else if (const auto stat = read_process_stat(paths_, pid)) {
        starts[pid] = stat->has_memory ? stat->start : kNoMemory;
      }
    }
  }
  starts_ = std::move(starts);
  for (const auto& [pid, start] : starts_) {
    if (start != kNoMemory) members.processes.push_back({pid, start});
  }
}

void MemberFinder::find_unit_members(Members& members) {
  if (!unit_directories_.empty()) find_of_cgroups(unit_directories_, members);
  if (!members.processes.empty()) return;
  unit_directories_ = find_unit(paths_, selector_.name);
  find_of_cgroups(unit_directories_, members);
  if (!members.processes.empty()) return;
  members.none = fmt::format("no process of the unit {} runs", escape_text(selector_.name));
  if (looked_) return;
  auto similar = similar_units(paths_, selector_.name);
  std::erase(similar, selector_.name);
  if (!similar.empty()) members.none += fmt::format("; there is {}", fmt::join(similar, ", "));
}

void MemberFinder::find_cgroup_members(Members& members) {
  const auto directory = find_cgroup(paths_, selector_.name);
  if (directory) find_of_cgroups({*directory}, members);
  if (!members.processes.empty()) return;
  members.none = directory
                     ? fmt::format("the cgroup {} has no process", escape_text(selector_.name))
                     : fmt::format("there is no cgroup {} below {}", escape_text(selector_.name),
                                   paths_.cgroup);
}

void MemberFinder::find_tree(Members& members) {
  const ProcessTable table = read_processes(paths_);
  const pid_t root = selector_.pids.front();
  std::map<pid_t, uint64_t> known;  // members, those that have ended included
  for (const Member& member : tree_) known.emplace(member.pid, member.start);
  if (!looked_) {
    const auto found = table.find(root);
    const bool meant =
        found != table.end() && (selector_.start == 0 || selector_.start == found->second.start);
    if (meant) known.emplace(root, found->second.start);
  }
  std::vector<const ProcessStat*> others;
  for (const auto& [pid, stat] : table) {
    const auto member = known.find(pid);
    if (member != known.end() && member->second != stat.start) known.erase(member);
    if (!known.contains(pid)) others.push_back(&stat);
  }
  const std::set<pid_t> forked = forked_by(known, std::exchange(forks_, {}));
  // Parents are older than their children, but not by number, nor always by their start.
  for (bool grown = true; grown;) {
    grown = false;
    std::erase_if(others, [&](const ProcessStat* process) {
      if (!forked.contains(process->pid) && !descends(*process, known)) return false;
      known.emplace(process->pid, process->start);
      return grown = true;
    });
  }
  std::set<pid_t> named;  // numbers that still stand for a group or session
  for (const auto& [pid, stat] : table) named.insert({stat.group, stat.session});
  tree_.clear();
  for (const auto& [pid, start] : known) {
    const auto stat = table.find(pid);
    if (stat != table.end() || named.contains(pid)) tree_.insert({pid, start});
    if (stat != table.end() && stat->second.has_memory) members.processes.push_back({pid, start});
  }
  if (members.processes.empty()) {
    members.none = looked_ ? fmt::format("process {} and all its descendants have ended", root)
                           : fmt::format("there is no process {}", root);
  }
}

void MemberFinder::find_comm(Members& members) {
  const std::string_view name = std::string_view(selector_.name).substr(0, kCommSize);
  for (const pid_t pid : list_pids(paths_)) {
    if (read_comm(paths_, pid) != name) continue;
    const auto stat = read_process_stat(paths_, pid);
    if (stat && stat->has_memory) members.processes.push_back({pid, stat->start});
  }
  starts_.clear();
  for (const Member& member : members.processes) starts_.emplace(member.pid, member.start);
  if (members.processes.empty()) {
    members.none = fmt::format("no process is called {}", escape_text(name));
  }
}

void MemberFinder::find_pids(Members& members) {
  for (const pid_t pid : selector_.pids) {
    const auto stat = read_process_stat(paths_, pid);
    if (!looked_) starts_[pid] = stat ? stat->start : kNoMemory;
    const auto start = starts_.find(pid);
    if (stat && stat->has_memory && start != starts_.end() && start->second == stat->start) {
      members.processes.push_back({pid, stat->start});
    }
  }
  if (members.processes.empty()) members.none = "none of these processes is there";
}

Members MemberFinder::find(size_t max) {
  Members members;
  switch (selector_.kind) {
    case Selector::Kind::unit:
      find_unit_members(members);
      break;
    case Selector::Kind::cgroup:
      find_cgroup_members(members);
      break;
    case Selector::Kind::tree:
      find_tree(members);
      break;
    case Selector::Kind::comm:
      find_comm(members);
      break;
    case Selector::Kind::pids:
      find_pids(members);
      break;
  }
  looked_ = true;
  auto& processes = members.processes;
  std::sort(processes.begin(), processes.end(), [](const Member& a, const Member& b) {
    return a.start != b.start ? a.start < b.start : a.pid < b.pid;
  });
  if (processes.size() > max) {
    members.left_out = processes.size() - max;
    processes.resize(max);
  }
  return members;
}

}  // namespace damonfs
