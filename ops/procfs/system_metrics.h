// The state of this machine's memory, from procfs, sysfs and cgroupfs.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/fd.h"
#include "core/metrics.h"
#include "ops/base/warn_once.h"
#include "ops/procfs/paths.h"

namespace damonfs {

// Reads what watermarks and quota goals compare. One for the whole daemon, outlives all contexts;
// any thread. Files stay open between readings. What cannot be read counts as nothing used (all
// memory free, no pressure, no active page), with one warning a kind of file, so that schemes rest
// rather than act on a guess.
class SystemMetrics final : public Metrics {
 public:
  explicit SystemMetrics(Paths paths);

  // MemFree of MemTotal in /proc/meminfo.
  [[nodiscard]] uint64_t free_mem_permille() override;
  // "some" of /proc/pressure/memory.
  [[nodiscard]] uint64_t some_mem_psi_us() override;
  // MemTotal less MemFree of /sys/devices/system/node/nodeN/meminfo.
  [[nodiscard]] uint64_t node_mem_used_bp(int nid) override;
  // Pages on the four LRU lists that evictable memory is on, by memory.numa_stat of a version 2
  // hierarchy.
  [[nodiscard]] uint64_t node_memcg_used_bp(int nid, const std::string& path) override;
  // Active of Active and Inactive in /proc/meminfo.
  [[nodiscard]] uint64_t active_mem_bp() override;
  // AnonHugePages, ShmemHugePages and FileHugePages of MemTotal less MemFree in /proc/meminfo.
  [[nodiscard]] uint64_t hugepage_mem_bp() override;

 private:
  // The whole content of a file; nothing when it cannot be read. Warns once a `kind`.
  std::optional<std::string> read(const std::string& path, std::string_view kind);
  std::optional<std::string> read_open(const std::string& path);
  std::optional<std::string> read_node(int nid);

  const Paths paths_;
  std::mutex mutex_;  // guards the rest
  std::map<std::string, Fd> files_;
  WarnOnce warn_;
};

}  // namespace damonfs
