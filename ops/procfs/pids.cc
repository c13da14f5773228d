#include "ops/procfs/pids.h"

#include <charconv>
#include <filesystem>
#include <string>
#include <system_error>

namespace damonfs {

Result<std::vector<pid_t>> all_pids(const Paths& paths) {
  std::vector<pid_t> pids;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(paths.proc, error)) {
    const std::string name = entry.path().filename();
    const char* end = name.data() + name.size();
    pid_t pid = 0;
    const auto parsed = std::from_chars(name.data(), end, pid);
    if (parsed.ec == std::errc() && parsed.ptr == end) pids.push_back(pid);
  }
  if (error) return fail(error.value(), "{}: {}", paths.proc, error.message());
  return pids;
}

}  // namespace damonfs
