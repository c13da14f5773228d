#include "fs/metrics/metrics_file.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <utility>

#include "core/base/fd.h"
#include "core/base/thread.h"

namespace damonfs {

namespace {

// Beside the file, with a name that node_exporter does not read.
std::string temporary_path(const std::string& path) {
  const size_t name = path.rfind('/') + 1;
  return path.substr(0, name) + "." + path.substr(name) + ".new";
}

Result<void> write_all(const Fd& file, const std::string& text) {
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t size = ::write(file.get(), text.data() + done, text.size() - done);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return fail(errno, "{}", strerror(errno));
    done += static_cast<size_t>(size);
  }
  return {};
}

Result<void> write_new(const std::string& path, const std::string& text) {
  // One that a daemon left behind that was killed is in the way; a link is not followed.
  ::unlink(path.c_str());
  const Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
  if (!file.valid()) return fail(errno, "{}", strerror(errno));
  // Whatever our mask is: others are meant to read it.
  if (::fchmod(file.get(), 0644) != 0) return fail(errno, "{}", strerror(errno));
  return write_all(file, text);
}

}  // namespace

Result<void> replace_file(const std::string& path, const std::string& text) {
  const std::string temporary = temporary_path(path);
  auto written = write_new(temporary, text);
  if (written && ::rename(temporary.c_str(), path.c_str()) != 0) {
    written = fail(errno, "{}", strerror(errno));
  }
  if (written) return written;
  ::unlink(temporary.c_str());
  return fail(written.error().code, "cannot write the metrics file {}: {}", path,
              written.error().message);
}

Result<void> MetricsFile::start(std::string path, std::chrono::nanoseconds period, TextFn text,
                                FailedFn failed) {
  const auto first = text({});
  if (first) {
    if (auto written = replace_file(path, *first); !written) return written;
  }
  path_ = std::move(path);
  text_ = std::move(text);
  failed_ = std::move(failed);
  auto thread = start_thread("damonfs-metfile",
                             [this, period](const std::stop_token& stop) { run(period, stop); });
  if (!thread) return tl::unexpected(thread.error());
  thread_ = *std::move(thread);
  return {};
}

void MetricsFile::run(std::chrono::nanoseconds period, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any never;
  bool failing = false;
  auto next = std::chrono::steady_clock::now();
  while (true) {
    const auto now = std::chrono::steady_clock::now();
    while (next <= now) next += period;
    std::unique_lock lock(mutex);
    never.wait_until(lock, stop, next, [] { return false; });
    if (stop.stop_requested()) return;
    const auto text = text_(stop);
    if (!text) continue;
    const auto written = replace_file(path_, *text);
    if (!written) {
      failed_();
      if (!failing) spdlog::error("{}; trying again each period", written.error().message);
    } else if (failing) {
      spdlog::info("the metrics file {} is written again", path_);
    }
    failing = !written;
  }
}

MetricsFile::~MetricsFile() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
  // What it says would be taken for the present.
  ::unlink(path_.c_str());
}

}  // namespace damonfs
