// mount --metrics-listen: metrics over HTTP, for Prometheus.
#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "core/base/fd.h"
#include "core/base/result.h"
#include "fs/metrics/exposition.h"

namespace damonfs {

// A socket that listens. A plain value.
struct MetricsSocket {
  // "[HOST:]PORT"; HOST is 127.0.0.1 unless given, an IPv6 address stands in brackets. Port 0: any
  // that is free. EINVAL for what is no address; EADDRINUSE and others as bind(2).
  static Result<MetricsSocket> listen(const std::string& address);

  Fd fd;
  std::string address;  // "127.0.0.1:9765", with the port that it got
};

// Answers GET /metrics, from a thread of its own, `damonfs-metrics`. This process has capabilities
// that its scrapers lack, so it does no more than that, and is bounded: 32 connections, of which
// the oldest goes for a new one; 4 KiB a request; 5 seconds from its begin to its end. Whoever
// neither writes nor reads holds up nobody. Owned by the daemon's first thread.
class MetricsServer {
 public:
  // Makes the text of the metrics. EINTR when `stop` is requested.
  using TextFn = std::function<Result<std::string>(Exposition format, const std::stop_token& stop)>;

  // EAGAIN, ENOMEM when no thread or no descriptor is to be had.
  Result<void> start(MetricsSocket socket, TextFn text);
  MetricsServer() = default;
  ~MetricsServer();
  MetricsServer(const MetricsServer&) = delete;
  MetricsServer& operator=(const MetricsServer&) = delete;

 private:
  Fd wake_;  // an eventfd, readable when the thread is to end
  std::jthread thread_;
};

// An HTTP request as far as it came. `status` is 0 while more is needed, 200 for one that wants the
// metrics, otherwise the status of the refusal. A plain value.
struct MetricsRequest {
  int status = 0;
  bool head = false;  // no body is wanted
  Exposition format = Exposition::prometheus;
};
[[nodiscard]] MetricsRequest parse_metrics_request(std::string_view text);

}  // namespace damonfs
