#include "ops/procfs/spared_processes.h"

#include <fcntl.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <system_error>
#include <utility>

#include "core/base/read_whole.h"
#include "ops/procfs/device_access.h"
#include "ops/procfs/process.h"

namespace damonfs {

std::vector<SparedProcess> find_spared(const Paths& paths) {
  std::vector<SparedProcess> spared;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(paths.proc, error)) {
    const std::string number = entry.path().filename();
    pid_t pid = 0;
    const char* end = number.data() + number.size();
    const auto parsed = std::from_chars(number.data(), end, pid);
    if (parsed.ec != std::errc() || parsed.ptr != end) continue;
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
