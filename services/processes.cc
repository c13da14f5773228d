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

std::optional<ProcessStat> parse_process_stat(std::string_view text) {
  const size_t open = text.find('(');
  const size_t close = text.rfind(')');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open ||
      close + 4 > text.size()) {
    return std::nullopt;
  }
  ProcessStat stat;
  if (std::from_chars(text.data(), text.data() + open, stat.pid).ec != std::errc()) {
    return std::nullopt;
  }
  stat.comm = text.substr(open + 1, close - open - 1);  // raw, whatever bytes it has
  const char state = text[close + 2];
  // Fields 4 to 22, all of them numbers.
  constexpr size_t kFirst = 4;
  constexpr size_t kStart = 22;
  std::array<int64_t, kStart + 1> field{};
  const char* at = text.data() + close + 3;
  const char* end = text.data() + text.size();
  for (size_t i = kFirst; i <= kStart; ++i) {
    if (at == end || *at != ' ') return std::nullopt;
    const auto parsed = std::from_chars(at + 1, end, field[i]);
    if (parsed.ec != std::errc()) return std::nullopt;
    at = parsed.ptr;
  }
  constexpr int64_t kKernelThread = 0x200000;  // PF_KTHREAD
  stat.parent = static_cast<pid_t>(field[4]);
  stat.group = static_cast<pid_t>(field[5]);
  stat.session = static_cast<pid_t>(field[6]);
  stat.major_faults = static_cast<uint64_t>(field[12]);
  stat.start = static_cast<uint64_t>(field[kStart]);
  stat.has_memory = (field[9] & kKernelThread) == 0 && state != 'Z' && state != 'X';
  return stat;
}

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
