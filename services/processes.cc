#include "services/processes.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <memory>

#include "core/base/fd.h"

namespace damonfs {
namespace {

// In one read, into the caller's buffer: these files are short. Empty when it cannot be read.
template <size_t size>
std::string_view read_short(const std::string& path, std::array<char, size>& buffer) {
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return {};
  const ssize_t got = ::read(file.get(), buffer.data(), buffer.size());
  return got > 0 ? std::string_view(buffer.data(), static_cast<size_t>(got)) : std::string_view();
}

}  // namespace

std::optional<ProcessStat> read_process_stat(const Paths& paths, pid_t pid) {
  std::array<char, 1024> buffer;
  return parse_process_stat(read_short(fmt::format("{}/{}/stat", paths.proc, pid), buffer));
}

std::optional<std::string> read_comm(const Paths& paths, pid_t pid) {
  std::array<char, 64> buffer;
  std::string_view text = read_short(fmt::format("{}/{}/comm", paths.proc, pid), buffer);
  if (text.empty()) return std::nullopt;
  if (text.ends_with('\n')) text.remove_suffix(1);
  return std::string(text);
}

std::vector<pid_t> list_pids(const Paths& paths) {
  std::vector<pid_t> pids;
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(paths.proc.c_str()), ::closedir);
  if (!directory) return pids;
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string_view name = entry->d_name;
    pid_t pid = 0;
    const auto parsed = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (parsed.ec == std::errc() && parsed.ptr == name.data() + name.size()) pids.push_back(pid);
  }
  return pids;
}

}  // namespace damonfs
