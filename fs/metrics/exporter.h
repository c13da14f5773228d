// The metrics of a daemon on their way out.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "core/base/result.h"
#include "fs/metrics/collector.h"
#include "fs/metrics/metrics_file.h"
#include "fs/metrics/metrics_server.h"

namespace damonfs {

// Where metrics go. A plain value; empty strings: nowhere.
struct MetricsOptions {
  std::string file;    // for node_exporter's textfile collector
  std::string listen;  // "[HOST:]PORT"
  std::chrono::nanoseconds period = std::chrono::seconds(15);  // of the file
};

// Exposes metrics as its options say. Owned by the daemon's first thread; `source.tree` outlives
// it.
class MetricsExporter {
 public:
  MetricsExporter(MetricsOptions options, MetricsSource source);

  // Takes the address, so that it is known early whether it is free. Errors as
  // MetricsSocket::listen().
  Result<void> listen();
  // Begins. Errors as MetricsFile::start() and MetricsServer::start().
  Result<void> start();

 private:
  MetricsOptions options_;
  MetricsCollector collector_;
  std::optional<MetricsSocket> socket_;  // taken, and not served yet
  MetricsFile file_;
  MetricsServer server_;
};

}  // namespace damonfs
