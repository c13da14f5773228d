#include "ops/rmap/protection.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <optional>

#include "core/base/read_whole.h"
#include "ops/procfs/device_access.h"

namespace damonfs {
namespace {

constexpr size_t kMaxOfComm = 15;  // the kernel keeps no more of a name

std::optional<std::string> read_file(const Process& process, const char* name) {
  const auto file = process.open_file(name, O_RDONLY);
  if (!file) return std::nullopt;
  const auto text = read_whole(*file);
  if (!text) return std::nullopt;
  return *text;
}

bool is_below(std::string_view path, std::string_view above) {
  return path.starts_with(above) &&
         (above.ends_with('/') || path.size() == above.size() || path[above.size()] == '/');
}

// Whether a line of /proc/PID/cgroup ("HIERARCHY:CONTROLLERS:PATH") names one of `cgroups`.
bool is_in(std::string_view text, const std::vector<std::string>& cgroups) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const size_t second = line.find(':', line.find(':') + 1);
    if (second == std::string_view::npos) continue;
    const std::string_view path = line.substr(second + 1);
    if (std::ranges::any_of(cgroups, [&](const auto& cgroup) { return is_below(path, cgroup); })) {
      return true;
    }
  }
  return false;
}

}  // namespace

ProtectedList ProtectedList::own() {
  ProtectedList list;
  list.pids.push_back(::getpid());
  return list;
}

Result<> ProtectedList::add(std::string_view words) {
  const size_t equals = words.find('=');
  const std::string_view kind = words.substr(0, equals);
  const std::string_view value =
      equals == std::string_view::npos ? std::string_view() : words.substr(equals + 1);
  if (kind == "comm" && !value.empty()) {
    comms.emplace_back(value.substr(0, kMaxOfComm));
    return {};
  }
  if (kind == "cgroup" && value.starts_with('/') && (value == "/" || !value.ends_with('/'))) {
    cgroups.emplace_back(value);
    return {};
  }
  pid_t pid = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), pid);
  if (kind == "pid" && error == std::errc() && end == value.data() + value.size() && pid > 0) {
    pids.push_back(pid);
    return {};
  }
  return fail(EINVAL, "'{}' is none of comm=NAME, cgroup=/PATH, pid=N", words);
}

Result<> ProtectedList::hold(const Paths& paths) {
  for (const pid_t pid : pids) {
    auto process = Process::open(pid, paths);
    if (!process) {
      return fail(process.error().code, "cannot protect pid={}: {}", pid, process.error().message);
    }
    processes.push_back(*std::move(process));
  }
  return {};
}

bool ProtectedList::covers(const Process& process) const {
  for (size_t i = 0; i < pids.size(); ++i) {
    const bool is_it =
        i < processes.size() ? processes[i]->same_as(process) : pids[i] == process.pid();
    if (is_it) return true;
  }
  if (devices && !device_access(process).empty()) return true;
  if (!comms.empty()) {
    auto comm = read_file(process, "comm");
    if (!comm) return process.exists();
    if (comm->ends_with('\n')) comm->pop_back();
    if (std::ranges::find(comms, *comm) != comms.end()) return true;
  }
  if (cgroups.empty()) return false;
  const auto cgroup = read_file(process, "cgroup");
  return cgroup ? is_in(*cgroup, cgroups) : process.exists();
}

std::string ProtectedList::describe() const {
  std::string words;
  const auto say = [&](std::string_view kind, const auto& value) {
    words += fmt::format("{}{}={}", words.empty() ? "" : ", ", kind, value);
  };
  for (const auto& comm : comms) say("comm", comm);
  for (const auto& cgroup : cgroups) say("cgroup", cgroup);
  for (const pid_t pid : pids) {
    if (pid != ::getpid()) say("pid", pid);
  }
  return words;
}

}  // namespace damonfs
