#include "services/cgroups.h"

#include <dirent.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>

#include "core/base/read_whole.h"

namespace damonfs {
namespace {

constexpr const char* kProcs = "/cgroup.procs";

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

// The names of the folders in `directory`.
std::vector<std::string> folders_in(const std::string& directory) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(directory.c_str()), ::closedir);
  if (!stream) return names;
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string_view name = entry->d_name;
    if (entry->d_type == DT_DIR && name != "." && name != "..") names.emplace_back(name);
  }
  return names;
}

// Appends the numbers in the lines of a cgroup.procs.
void append_pids(std::string_view text, std::vector<pid_t>& pids) {
  const char* at = text.data();
  const char* end = text.data() + text.size();
  while (at < end) {
    pid_t pid = 0;
    const auto parsed = std::from_chars(at, end, pid);
    if (parsed.ec == std::errc() && pid > 0) pids.push_back(pid);  // 0: of another pid namespace
    at = std::find(at, end, '\n') + 1;
  }
}

// Calls fn(folder) for `directory` and all below it, whatever their depth.
template <class Fn>
void walk_cgroups(const std::string& directory, const Fn& fn) {
  std::vector<std::string> left = {directory};
  while (!left.empty()) {
    const std::string folder = std::move(left.back());
    left.pop_back();
    fn(folder);
    for (const std::string& name : folders_in(folder))
      left.push_back(fmt::format("{}/{}", folder, name));
  }
}

std::string_view last_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

// The hierarchy that systemd keeps its units in.
std::optional<std::string> unit_hierarchy(const Paths& paths) {
  const std::string own = paths.cgroup + "/systemd";
  const std::string unified = paths.cgroup + "/unified";
  if (exists(paths.cgroup + "/cgroup.controllers")) return paths.cgroup;
  if (exists(own + kProcs)) return own;
  if (exists(unified + kProcs)) return unified;
  return std::nullopt;
}

}  // namespace

std::vector<std::string> cgroup_hierarchies(const Paths& paths) {
  if (exists(paths.cgroup + "/cgroup.controllers")) return {paths.cgroup};
  std::vector<std::string> names = folders_in(paths.cgroup);
  std::sort(names.begin(), names.end());
  constexpr std::array<std::string_view, 3> kFirst = {"systemd", "unified", "memory"};
  for (const std::string_view first : kFirst) {
    const auto found = std::find(names.begin(), names.end(), first);
    if (found != names.end()) std::rotate(names.begin(), found, found + 1);
  }
  std::vector<std::string> hierarchies;
  for (const std::string& name : names) {
    const std::string directory = paths.cgroup + '/' + name;
    if (exists(directory + kProcs)) hierarchies.push_back(directory);
  }
  return hierarchies;
}

std::optional<std::vector<pid_t>> cgroup_processes(const std::string& directory) {
  if (!exists(directory + kProcs)) return std::nullopt;
  std::vector<pid_t> pids;
  walk_cgroups(directory, [&](const std::string& folder) {
    // One that went meanwhile, or is threaded (its processes are in a cgroup above), has none.
    if (const auto text = read_whole(folder + kProcs)) append_pids(*text, pids);
  });
  std::sort(pids.begin(), pids.end());
  pids.erase(std::unique(pids.begin(), pids.end()), pids.end());
  return pids;
}

std::optional<std::string> find_cgroup(const Paths& paths, std::string_view path) {
  const std::string below = path == "/" ? "" : std::string(path);
  std::optional<std::string> empty;
  for (const std::string& hierarchy : cgroup_hierarchies(paths)) {
    const std::string directory = hierarchy + below;
    if (!exists(directory + kProcs)) continue;
    const auto pids = cgroup_processes(directory);
    if (pids && !pids->empty()) return directory;
    if (!empty) empty = directory;
  }
  // Named with its hierarchy.
  if (!empty && !below.empty() && exists(paths.cgroup + below + kProcs)) {
    return paths.cgroup + below;
  }
  return empty;
}

std::vector<std::string> find_unit(const Paths& paths, std::string_view unit) {
  std::vector<std::string> found;
  const auto hierarchy = unit_hierarchy(paths);
  if (!hierarchy) return found;
  walk_cgroups(*hierarchy, [&](const std::string& folder) {
    if (folder.size() > hierarchy->size() && last_name(folder) == unit) found.push_back(folder);
  });
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<std::string> similar_units(const Paths& paths, std::string_view unit) {
  std::vector<std::string> found;
  const auto hierarchy = unit_hierarchy(paths);
  const std::string_view stem = unit.substr(0, unit.find_first_of(".@"));
  if (!hierarchy || stem.empty()) return found;
  walk_cgroups(*hierarchy, [&](const std::string& folder) {
    const std::string_view name = last_name(folder);
    const bool is_unit = name.ends_with(".service") || name.ends_with(".scope");
    if (is_unit && name.starts_with(stem)) found.emplace_back(name);
  });
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  constexpr size_t kMost = 3;
  if (found.size() > kMost) found.resize(kMost);
  return found;
}

}  // namespace damonfs
