#include "ops/procfs/system_metrics.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "core/base/arithmetic.h"

namespace damonfs {

namespace {

// Goals name few files; beyond this they are of cgroups that have come and gone.
constexpr size_t kMaxFiles = 64;

// The number behind the word `key`, which begins a line or follows a blank.
std::optional<uint64_t> number_after(std::string_view text, std::string_view key) {
  for (size_t at = text.find(key); at != std::string_view::npos; at = text.find(key, at + 1)) {
    if (at != 0 && text[at - 1] != '\n' && text[at - 1] != ' ') continue;
    std::string_view rest = text.substr(at + key.size());
    rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
    uint64_t number = 0;
    const auto [end, bad] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
    if (bad == std::errc()) return number;
  }
  return std::nullopt;
}

std::string_view line_of(std::string_view text, std::string_view name) {
  for (size_t at = 0; at < text.size();) {
    const std::string_view line = text.substr(at, text.find('\n', at) - at);
    if (line.starts_with(name) && line.substr(name.size()).starts_with(' ')) return line;
    at += line.size() + 1;
  }
  return {};
}

std::optional<uint64_t> share(std::optional<uint64_t> part, std::optional<uint64_t> whole,
                              uint64_t unit) {
  if (!part || !whole || *whole == 0) return std::nullopt;
  return mult_frac(*part, unit, *whole);
}

}  // namespace

SystemMetrics::SystemMetrics(Paths paths) : paths_(std::move(paths)) {}

uint64_t SystemMetrics::free_mem_permille() {
  const auto text = read(paths_.proc + "/meminfo", "meminfo");
  if (!text) return 1000;
  return share(number_after(*text, "MemFree:"), number_after(*text, "MemTotal:"), 1000)
      .value_or(1000);
}

uint64_t SystemMetrics::some_mem_psi_us() {
  const auto text = read(paths_.proc + "/pressure/memory", "pressure/memory");
  if (!text) return 0;
  return number_after(line_of(*text, "some"), "total=").value_or(0);
}

uint64_t SystemMetrics::node_mem_used_bp(int nid) {
  const auto text = read_node(nid);
  if (!text) return 0;
  const auto total = number_after(*text, "MemTotal:");
  const auto free = number_after(*text, "MemFree:");
  if (!total || !free) return 0;
  return share(*total - std::min(*free, *total), total, 10000).value_or(0);
}

uint64_t SystemMetrics::node_memcg_used_bp(int nid, const std::string& path) {
  const auto node = read_node(nid);
  if (!node) return 0;
  std::string_view cgroup = path;
  if (cgroup.ends_with('\n')) cgroup.remove_suffix(1);
  const auto stat =
      read(paths_.cgroup + std::string(cgroup) + "/memory.numa_stat", "memory.numa_stat");
  if (!stat) return 0;
  const std::string key = "N" + std::to_string(nid) + "=";
  uint64_t used = 0;
  for (const char* list : {"active_anon", "inactive_anon", "active_file", "inactive_file"}) {
    used += number_after(line_of(*stat, list), key).value_or(0);
  }
  // What was read of the two files one after the other may be more than there is.
  return std::min<uint64_t>(share(used / 1024, number_after(*node, "MemTotal:"), 10000).value_or(0),
                            10000);
}

uint64_t SystemMetrics::active_mem_bp() {
  const auto text = read(paths_.proc + "/meminfo", "meminfo");
  if (!text) return 0;
  const uint64_t active = number_after(*text, "Active:").value_or(0);
  return share(active, active + number_after(*text, "Inactive:").value_or(0), 10000).value_or(0);
}

uint64_t SystemMetrics::hugepage_mem_bp() {
  const auto text = read(paths_.proc + "/meminfo", "meminfo");
  if (!text) return 0;
  uint64_t huge = 0;
  for (const char* kind : {"AnonHugePages:", "ShmemHugePages:", "FileHugePages:"}) {
    huge += number_after(*text, kind).value_or(0);
  }
  const auto total = number_after(*text, "MemTotal:");
  const auto free = number_after(*text, "MemFree:");
  if (!total || !free) return 0;
  const uint64_t used = *total - std::min(*free, *total);
  return share(std::min(huge, used), used, 10000).value_or(0);
}

std::optional<std::string> SystemMetrics::read_node(int nid) {
  return read(paths_.sys + "/devices/system/node/node" + std::to_string(nid) + "/meminfo",
              "node/meminfo");
}

std::optional<std::string> SystemMetrics::read(const std::string& path, std::string_view kind) {
  const std::lock_guard lock(mutex_);
  const bool was_open = files_.contains(path);
  auto text = read_open(path);
  // A cgroup that went and came again is another file of the same name.
  if (!text && was_open) text = read_open(path);
  if (!text) {
    warn_(kind, "{}: {}: counts as no memory in use", path, std::strerror(errno));
  }
  return text;
}

std::optional<std::string> SystemMetrics::read_open(const std::string& path) {
  if (files_.size() > kMaxFiles) files_.clear();
  if (!files_.contains(path)) {
    Fd opened(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!opened.valid()) return std::nullopt;
    files_[path] = std::move(opened);
  }
  const Fd& file = files_[path];
  std::string text;
  std::array<char, 4096> chunk;
  ssize_t got = 1;
  while (got > 0) {
    got = ::pread(file.get(), chunk.data(), chunk.size(), static_cast<off_t>(text.size()));
    if (got > 0) text.append(chunk.data(), static_cast<size_t>(got));
  }
  if (got == 0) return text;
  const int code = errno;
  files_.erase(path);
  errno = code;
  return std::nullopt;
}

}  // namespace damonfs
