#include "ops/procfs/spared_processes.h"

#include <fcntl.h>

#include <algorithm>
#include <utility>

#include "core/base/read_whole.h"
#include "ops/procfs/device_access.h"
#include "ops/procfs/pids.h"
#include "ops/procfs/process.h"

namespace damonfs {

std::vector<SparedProcess> find_spared(const Paths& paths) {
  std::vector<SparedProcess> spared;
  for (const pid_t pid : all_pids(paths).value_or(std::vector<pid_t>())) {
    const auto process = Process::open(pid, paths);
    if (!process || !(*process)->open_file("fd", O_RDONLY | O_DIRECTORY)) continue;
    std::string access = device_access(**process);
    if (access.empty()) continue;
    const auto file = (*process)->open_file("comm", O_RDONLY);
    std::string name = file ? read_whole(*file).value_or("") : "";
    if (name.ends_with('\n')) name.pop_back();
    spared.push_back({pid, std::move(name), std::move(access)});
  }
  std::ranges::sort(spared, {}, &SparedProcess::pid);
  return spared;
}

}  // namespace damonfs
