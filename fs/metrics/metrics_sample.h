// What one collection of metrics has found.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/scheme.h"
#include "fs/metrics/context_summary.h"
#include "fs/metrics/memory_by_age.h"

namespace damonfs {

// At most so many services, and schemes of each, are told of, so that a fleet's Prometheus is never
// flooded by one machine.
inline constexpr size_t kMaxServices = 100;
inline constexpr size_t kMaxSchemes = 32;

// What a running context of a service is. A plain value.
struct ServiceContext {
  uint64_t nr_processes = 0;
  AgedMemory memory;
  ContextSummary summary;
};

// One kdamond. A plain value.
struct ServiceSample {
  std::string name;  // any bytes; unique within a sample
  bool running = false;
  uint64_t cpu_ns = 0;        // of the kdamond's thread
  uint64_t major_faults = 0;  // of its processes, since they are watched; never gets less
  std::optional<ServiceContext> context;  // nothing: it is off, or did not answer in time
};

// DAMON_STAT. A plain value.
struct AccessStatSample {
  uint64_t bytes_per_second = 0;
  std::array<int64_t, 101> idle_ms{};
};

// The daemon and all its kdamonds. A plain value.
struct MetricsSample {
  std::string backend;
  bool dry_run = false;
  uint64_t cpu_ns = 0;          // of the daemon
  uint64_t resident_bytes = 0;  // of the daemon
  // Pages of the machine that were reclaimed and soon wanted back, since boot: "anon", "file".
  std::map<std::string, uint64_t> refaults;
  std::optional<AccessStatSample> access_stat;  // nothing: damon_stat is off
  std::vector<ServiceSample> services;          // kMaxServices at most
  uint64_t services_left_out = 0;
  uint64_t collect_ns = 0;         // that this collection took, its waits included
  uint64_t file_write_errors = 0;  // of --metrics-file, since the start
};

}  // namespace damonfs
