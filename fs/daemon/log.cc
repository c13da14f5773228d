#include "fs/daemon/log.h"

#include <fcntl.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/sinks/syslog_sink.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "core/base/fd.h"

namespace damonfs {

namespace {

// No link that somebody else may have put there is followed, and nothing is waited for.
Result<Fd> open_log_file(const std::string& path) {
  constexpr int kFlags =
      O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  constexpr mode_t kMode = 0640;
  Fd file(::open(path.c_str(), kFlags, kMode));
  if (!file.valid()) {
    const int error = errno;
    if (error == ELOOP) return fail(error, "{} is a link; name the log file itself", path);
    return fail(error, "cannot open {}: {}", path, strerror(error));
  }
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return fail(errno, "{}: {}", path, strerror(errno));
  if (!S_ISREG(status.st_mode) && !S_ISCHR(status.st_mode)) {
    return fail(EINVAL, "{} is neither a file nor a terminal", path);
  }
  if (status.st_uid != ::geteuid() && status.st_uid != 0) {
    return fail(EPERM, "{} belongs to another user", path);
  }
  return file;
}

// A log file. Thread-safe; owned by the logger.
class LogFile final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  LogFile(std::string path, Fd file) : path_(std::move(path)), file_(std::move(file)) {}

  Result<void> reopen() {
    auto file = open_log_file(path_);
    if (!file) return tl::unexpected(file.error());
    const std::lock_guard lock(mutex_);
    file_ = *std::move(file);
    return {};
  }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    if (nr_lost_ > 0 && write(fmt::format("{} lines could not be written\n", nr_lost_))) {
      nr_lost_ = 0;
    }
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    if (!write({line.data(), line.size()})) ++nr_lost_;
  }
  void flush_() override {}

 private:
  // Whether all of it was written.
  bool write(std::string_view text) {
    return ::write(file_.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
  }

  const std::string path_;
  Fd file_;               // under the sink's lock
  uint64_t nr_lost_ = 0;  // likewise
};

std::shared_ptr<LogFile> log_file;  // set before there are threads; null: the log is no file

Result<spdlog::sink_ptr> make_sink(const MountOptions& options) {
  if (options.log_file.empty()) {
    if (options.foreground) return std::make_shared<spdlog::sinks::stderr_sink_mt>();
    return std::make_shared<spdlog::sinks::syslog_sink_mt>("damonfs", LOG_PID, LOG_DAEMON, true);
  }
  // The daemon leaves its working directory.
  std::error_code error;
  const std::string path = std::filesystem::absolute(options.log_file, error);
  if (error) return fail(error.value(), "{}: {}", options.log_file, error.message());
  auto file = open_log_file(path);
  if (!file) return tl::unexpected(file.error());
  log_file = std::make_shared<LogFile>(path, *std::move(file));
  return log_file;
}

}  // namespace

Result<void> start_log(const MountOptions& options) {
  auto sink = make_sink(options);
  if (!sink) return tl::unexpected(sink.error());
  const auto logger = std::make_shared<spdlog::logger>("damonfs", *std::move(sink));
  const bool to_syslog = options.log_file.empty() && !options.foreground;
  logger->set_pattern(to_syslog ? "%v" : "%Y-%m-%d %H:%M:%S.%e %l: %v");
  logger->set_level(spdlog::level::from_str(options.log_level));
  logger->flush_on(spdlog::level::trace);
  spdlog::set_default_logger(logger);
  return {};
}

void reopen_log() {
  if (log_file == nullptr) return;
  if (auto reopened = log_file->reopen(); !reopened) {
    spdlog::error("the log stays where it was: {}", reopened.error().message);
  } else {
    spdlog::info("the log was opened again");
  }
}

}  // namespace damonfs
