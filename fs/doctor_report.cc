#include "fs/doctor_report.h"

#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string_view>

#include "core/base/read_whole.h"
#include "fs/cli/version.h"
#include "fs/command/deadline.h"
#include "fs/mount/mounts.h"

namespace damonfs {

namespace {

using nlohmann::ordered_json;

std::string fact(std::string_view what, std::string_view value) {
  return fmt::format("{:<28} {}\n", what, value);
}

// The first line of a file of procfs or sysfs, or why there is none.
std::string first_line(const std::string& path) {
  const auto text = read_whole(path);
  if (!text) return fmt::format("({})", strerror(text.error().code));
  return text->substr(0, text->find('\n'));
}

// What stands behind `key` in the first line that begins with it.
std::string value_of(const std::string& path, const std::string& key) {
  std::ifstream file(path);
  for (std::string text; std::getline(file, text);) {
    if (!text.starts_with(key)) continue;
    const size_t start = text.find_first_not_of(" \t:=\"", key.size());
    if (start == std::string::npos) return {};
    const size_t end = text.find_last_not_of(" \t\"");
    return text.substr(start, end + 1 - start);
  }
  return "(not told)";
}

// Which of `words` stand among the flags of the processor.
std::string processor_flags(std::initializer_list<std::string_view> words) {
  std::istringstream flags(value_of("/proc/cpuinfo", "flags"));
  std::string found;
  for (std::string flag; flags >> flag;) {
    for (const std::string_view word : words) {
      if (flag == word) found += (found.empty() ? "" : " ") + flag;
    }
  }
  return found.empty() ? "none of those asked for" : found;
}

std::string there(const std::string& path) {
  return ::access(path.c_str(), F_OK) == 0 ? "yes" : fmt::format("no ({})", strerror(errno));
}

std::string machine_part() {
  utsname system{};
  ::uname(&system);
  std::string text = fact("damonfs", version_line());
  text += fact("system", value_of("/etc/os-release", "PRETTY_NAME"));
  text += fact("kernel", fmt::format("{} {} {}", system.release, system.version, system.machine));
  text += fact("processors", fmt::format("{}, {}", ::sysconf(_SC_NPROCESSORS_ONLN),
                                         value_of("/proc/cpuinfo", "model name")));
  text += fact("processor flags", processor_flags({"la57", "pcid", "hypervisor", "vmx", "svm"}));
  text += fact("page size", std::to_string(::sysconf(_SC_PAGESIZE)));
  text += fact("memory", value_of("/proc/meminfo", "MemTotal"));
  text += fact("swap", value_of("/proc/meminfo", "SwapTotal"));
  return text;
}

std::string kernel_part() {
  std::string text;
  const auto file = [&](std::string_view what, const std::string& path) {
    text += fact(what, first_line(path));
  };
  const auto presence = [&](std::string_view what, const std::string& path) {
    text += fact(what, there(path));
  };
  presence("BTF", "/sys/kernel/btf/vmlinux");
  presence("FUSE (/dev/fuse)", "/dev/fuse");
  presence("the kernel's DAMON", "/sys/kernel/mm/damon/admin");
  presence("page_idle", "/sys/kernel/mm/page_idle/bitmap");
  presence("memory cgroups v2", "/sys/fs/cgroup/cgroup.controllers");
  file("MGLRU", "/sys/kernel/mm/lru_gen/enabled");
  file("huge pages", "/sys/kernel/mm/transparent_hugepage/enabled");
  file("lockdown", "/sys/kernel/security/lockdown");
  file("security modules", "/sys/kernel/security/lsm");
  file("kptr_restrict", "/proc/sys/kernel/kptr_restrict");
  file("perf_event_paranoid", "/proc/sys/kernel/perf_event_paranoid");
  file("unprivileged_bpf_disabled", "/proc/sys/kernel/unprivileged_bpf_disabled");
  file("yama ptrace_scope", "/proc/sys/kernel/yama/ptrace_scope");
  text += fact("capabilities in effect", value_of("/proc/self/status", "CapEff"));
  text += fact("seccomp", value_of("/proc/self/status", "Seccomp"));
  return text;
}

// Strings that are names of the machine's files, cgroups or processes, or values that users wrote.
void hide_names(ordered_json& json) {
  for (auto& [key, value] : json.items()) {
    const bool name = key.find("path") != std::string::npos ||
                      key.find("name") != std::string::npos || key == "comm" || key == "unit" ||
                      key == "follow";
    if (value.is_structured()) {
      hide_names(value);
    } else if (value.is_string() && name && !value.get<std::string>().starts_with("kernel/") &&
               !value.get<std::string>().starts_with("module/")) {
      value = "(hidden)";
    }
  }
}

std::string tree_status(const std::string& mount, bool with_names) {
  const auto text = read_whole(mount + "/damonfs/status.json");
  if (!text) return fmt::format("({})\n", strerror(text.error().code));
  auto json = ordered_json::parse(*text, nullptr, false);
  if (json.is_discarded()) return "(no JSON)\n";
  if (!with_names) hide_names(json);
  return json.dump(1, ' ', false, ordered_json::error_handler_t::replace) + '\n';
}

// The last refusals: all of them, or without what was written and the reason, which may repeat it.
std::string refusals_text(const std::string& mount, bool with_names) {
  const auto text = read_whole(mount + "/damonfs/last_errors");
  if (!text) return fmt::format("({})\n", strerror(text.error().code));
  if (with_names) return *text;
  std::string shown;
  std::istringstream lines(*text);
  for (std::string refusal; std::getline(lines, refusal);) {
    std::istringstream fields(refusal);
    std::string time, path, value, code;
    for (std::string* field : {&time, &path, &value, &code}) std::getline(fields, *field, '\t');
    shown += fmt::format("{} {} {}\n", time, path, code);
  }
  return shown;
}

std::string daemons_part(bool with_names) {
  const auto trees = find_trees();
  std::string text = fact("mounted trees", std::to_string(trees.size()));
  int number = 0;
  for (const MountedTree& tree : trees) {
    const std::string name = with_names ? tree.mount_point : fmt::format("number {}", number);
    ++number;
    const bool answers = tree.state == DaemonState::answers;
    text += fact("tree", fmt::format("{}: {}", name,
                                     answers                             ? "answers"
                                     : tree.state == DaemonState::silent ? "does not answer"
                                                                         : "its daemon is dead"));
    if (!answers) continue;
    const Deadline deadline(kLookUpPatience, "a daemon does not answer; is it stopped?",
                            "damonfs doctor");
    text += "status:\n" + tree_status(tree.mount_point, with_names);
    text += "last refused writes:\n" + refusals_text(tree.mount_point, with_names);
  }
  return text;
}

}  // namespace

std::string doctor_report(bool with_names) {
  std::string text = machine_part() + kernel_part() + daemons_part(with_names);
  text += with_names ? "This report has names of this machine.\n"
                     : "This report has no contents of memory and no names of files, cgroups or "
                       "processes; --with-names adds names.\n";
  return text;
}

}  // namespace damonfs
