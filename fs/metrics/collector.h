// Collects the metrics of a daemon.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "core/kdamond.h"
#include "fs/damonfs/kdamond_looks.h"
#include "fs/metrics/metrics_sample.h"
#include "fs/tree/node.h"
#include "ops/base/cpu_budget.h"
#include "services/process_memory.h"

namespace damonfs {

// What a collector reads. A plain value; `tree` outlives the collector.
struct MetricsSource {
  Tree* tree = nullptr;
  std::string backend;
  bool dry_run = false;
  ProcessReader processes;
  std::string proc = "/proc";  // of the machine and of the daemon itself
};

// Collects samples of metrics. Thread-safe: one collection at a time, and one that is a second old
// at most serves again, so that no number of scrapers costs more than one collection a second.
//
// Running contexts are not disturbed: their kdamonds are looked at while they sleep
// (fs/damonfs/kdamond_looks.h). A service takes a name that its users know: of the only process
// that it watches, else kdamonds/N, or of the module. Mappings of processes are read when a process
// is new, and then as seldom as a thousandth of a processor demands.
class MetricsCollector {
 public:
  explicit MetricsCollector(MetricsSource source);

  // EINTR when `interrupt` is requested.
  [[nodiscard]] Result<std::shared_ptr<const MetricsSample>> collect(
      const std::stop_token& interrupt);

  // For those who expose the metrics: one more failure.
  void count_file_error();

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Place {
    std::string path;  // below the root of the tree
    std::shared_ptr<Kdamond> kdamond;
    std::string follows;  // the service that its context follows; empty: none
  };
  // What is known of a process that was seen in the last collection.
  struct Known {
    std::shared_ptr<TargetHandle> handle;
    std::optional<std::vector<ProcessMapping>> mappings;
    std::optional<ProcessUsage> usage;
    Time mappings_read;
    bool seen = false;
  };

  [[nodiscard]] std::vector<Place> places(MetricsSample& sample) const;
  [[nodiscard]] ServiceSample service_of(const Place& place, LookAnswer<ContextSummary>& answer);
  Known& know(const std::shared_ptr<TargetHandle>& handle, uint64_t& major_faults);
  void read_mappings(Known& known);
  void refresh_mappings();
  void read_machine(MetricsSample& sample) const;

  const MetricsSource source_;
  std::mutex mutex_;  // guards the rest
  std::map<const TargetHandle*, Known> known_;
  std::map<std::string, uint64_t> major_faults_;  // by path of the place
  CpuBudget budget_;                              // of readings of mappings
  std::shared_ptr<const MetricsSample> last_;
  Time last_collected_;
  uint64_t file_errors_ = 0;
};

}  // namespace damonfs
