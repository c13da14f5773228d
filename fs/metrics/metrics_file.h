// mount --metrics-file: metrics in a file, for the textfile collector of Prometheus' node_exporter.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "core/base/result.h"

namespace damonfs {

// Writes a text to a file each period, from a thread of its own, `damonfs-metfile`. Readers see
// either the old text or the new one, whole: it is written beside the file and renamed. A write
// that fails, on a full disk, say, is logged once, until one succeeds again; the old file stays.
// The file goes when this does. Owned by the daemon's first thread.
class MetricsFile {
 public:
  // Makes the text; nothing when it cannot be had now, or `stop` was requested.
  using TextFn = std::function<std::optional<std::string>(const std::stop_token& stop)>;
  using FailedFn = std::function<void()>;

  // Writes the file for the first time and starts the thread, which calls `failed` after each write
  // that failed. The first write must succeed: ENOENT for a directory that is not there, EISDIR for
  // a directory, otherwise what the system calls say; EAGAIN, ENOMEM when no thread is to be had.
  Result<void> start(std::string path, std::chrono::nanoseconds period, TextFn text,
                     FailedFn failed);
  MetricsFile() = default;
  ~MetricsFile();
  MetricsFile(const MetricsFile&) = delete;
  MetricsFile& operator=(const MetricsFile&) = delete;

 private:
  void run(std::chrono::nanoseconds period, const std::stop_token& stop);

  std::string path_;
  TextFn text_;
  FailedFn failed_;
  std::jthread thread_;  // last: joined before what it uses goes
};

// Replaces the file at `path` by one of that text, readable by all, in one step. Nothing has
// changed after an error.
[[nodiscard]] Result<void> replace_file(const std::string& path, const std::string& text);

}  // namespace damonfs
