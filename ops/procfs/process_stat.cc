#include "ops/procfs/process_stat.h"

#include <array>
#include <charconv>
#include <cstddef>

namespace damonfs {

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
  stat.of_kernel = (field[9] & kKernelThread) != 0;
  stat.has_memory = !stat.of_kernel && state != 'Z' && state != 'X';
  return stat;
}

}  // namespace damonfs
