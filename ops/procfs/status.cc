#include "ops/procfs/status.h"

#include <algorithm>
#include <charconv>

#include "core/base/read_whole.h"

namespace damonfs {
namespace {

// The numbers of the line that begins with `key`; none where there is no such line.
template <class T = pid_t>
std::vector<T> numbers_of(std::string_view text, std::string_view key) {
  std::vector<T> numbers;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (!line.starts_with(key)) continue;
    line.remove_prefix(key.size());
    for (;;) {
      line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
      T number = 0;
      const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), number);
      if (error != std::errc()) return numbers;
      numbers.push_back(number);
      line.remove_prefix(static_cast<size_t>(end - line.data()));
    }
  }
  return numbers;
}

// 0 for a number so large that two of them, as bytes, would not fit into 64 bits.
uint64_t bytes_of(std::string_view text, std::string_view key) {
  const auto kib = numbers_of<uint64_t>(text, key);
  return kib.empty() || kib.front() > UINT64_MAX >> 11 ? 0 : kib.front() << 10;
}

}  // namespace

std::optional<ProcessStatus> parse_status(std::string_view text) {
  const std::vector<pid_t> tgid = numbers_of(text, "Tgid:");
  if (tgid.empty()) return std::nullopt;
  const std::vector<uid_t> users = numbers_of<uid_t>(text, "Uid:");
  const uint64_t shmem = bytes_of(text, "RssShmem:");
  return ProcessStatus{.tgid = tgid.front(),
                       .nspid = numbers_of(text, "NSpid:"),
                       .euid = users.size() > 1 ? std::optional(users[1]) : std::nullopt,
                       .anon = bytes_of(text, "RssAnon:"),
                       .swap = bytes_of(text, "VmSwap:"),
                       .file = bytes_of(text, "RssFile:") + shmem,
                       .shmem = shmem};
}

std::optional<ProcessStatus> read_status(const std::string& directory) {
  const auto text = read_whole(directory + "/status");
  return text ? parse_status(*text) : std::nullopt;
}

}  // namespace damonfs
