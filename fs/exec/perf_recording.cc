#include "fs/exec/perf_recording.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fnmatch.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <optional>
#include <vector>

#include "core/base/fd.h"
#include "fs/command/child.h"
#include "fs/command/end_signals.h"
#include "fs/command/failures.h"
#include "fs/exec/trace_line.h"
#include "fs/mount/sys_view.h"

namespace damonfs {

namespace {

using std::string_view_literals::operator""sv;

// A line of its own. By the zero byte file(1) takes the whole for data: an older damo (2.9) would
// read a text itself.
constexpr std::string_view kMagic = "# damonfs perf recording, version 1\0"sv;
constexpr double kPause = 0.05;  // between two looks at the stream, seconds

// One run of `perf record`. Used by one thread.
class Recording {
 public:
  Recording(const PerfRecord& wanted, const EndSignals& signals)
      : wanted_(wanted), signals_(signals) {}

  Result<void> open();
  // Takes over what the stream has by now.
  Result<void> drain();
  // Writes what is to be written. Of what is shown live, once a signal asks to end, only what is
  // taken without waiting: who has sent it may be who reads, and wait for us, as damo does.
  Result<void> flush();
  void tell() const;

 private:
  void take(std::string_view line);
  // Waits until the file takes PIPE_BUF bytes; false when a signal comes first.
  [[nodiscard]] bool wait_writable() const;

  const PerfRecord& wanted_;
  const EndSignals& signals_;
  Fd stream_;
  Fd file_;
  std::string rest_;  // of a line that is not complete
  std::string out_;   // to be written
  size_t bytes_ = 0;
  size_t nr_events_ = 0;
  size_t nr_lost_ = 0;
  uint64_t start_ns_ = 0;  // of what is shown live
};

Result<void> Recording::open() {
  const std::string pipe = std::string(kViewTree) + "/kernel/tracing/trace_pipe";
  stream_ = Fd(::open(pipe.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!stream_.valid()) return failed(pipe);
  if (wanted_.output == "-") {
    file_ = Fd(::fcntl(wanted_.live ? STDERR_FILENO : STDOUT_FILENO, F_DUPFD_CLOEXEC, 3));
  } else {
    constexpr mode_t kPrivate = 0600;
    file_ = Fd(::open(wanted_.output.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, kPrivate));
  }
  if (!file_.valid()) return failed(wanted_.output);
  if (!wanted_.live) out_ = fmt::format("{}\n", kMagic);
  return {};
}

void Recording::take(std::string_view line) {
  constexpr std::string_view kLost = "[LOST ";
  if (line.starts_with(kLost)) {
    size_t lost = 0;
    std::from_chars(line.data() + kLost.size(), line.data() + line.size(), lost);
    nr_lost_ += lost;
  } else {
    const std::string event(event_of(line));
    const auto matches = [&](const std::string& pattern) {
      return ::fnmatch(pattern.c_str(), event.c_str(), 0) == 0;
    };
    if (std::ranges::none_of(wanted_.events, matches)) return;
    ++nr_events_;
  }
  if (!wanted_.live) {
    out_.append(line).push_back('\n');
  } else {
    out_ += live_line(line, start_ns_).value_or(std::string(line)) + '\n';
  }
}

Result<void> Recording::drain() {
  std::vector<char> part(size_t{128} * 1024);
  while (true) {
    const ssize_t size = ::read(stream_.get(), part.data(), part.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno != EAGAIN) return failed("the stream of events has ended");
    if (size <= 0) break;
    rest_.append(part.data(), static_cast<size_t>(size));
    size_t begin = 0;
    for (size_t end = 0; (end = rest_.find('\n', begin)) != std::string::npos; begin = end + 1) {
      take(std::string_view(rest_).substr(begin, end - begin));
    }
    rest_.erase(0, begin);
    if (out_.size() >= part.size()) {
      if (auto written = flush(); !written) return written;
    }
  }
  return flush();
}

bool Recording::wait_writable() const {
  std::array<pollfd, 2> polled = {{{file_.get(), POLLOUT, 0}, {signals_.fd(), POLLIN, 0}}};
  while (::poll(polled.data(), polled.size(), -1) < 0 && errno == EINTR) {
  }
  return polled[0].revents != 0;
}

Result<void> Recording::flush() {
  std::string_view left = out_;
  while (!left.empty()) {
    if (wanted_.live && !wait_writable()) break;
    const size_t at_once = wanted_.live ? std::min<size_t>(left.size(), PIPE_BUF) : left.size();
    const ssize_t size = ::write(file_.get(), left.data(), at_once);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return failed(wanted_.output);
    left.remove_prefix(static_cast<size_t>(size));
  }
  bytes_ += out_.size();
  out_.clear();
  return {};
}

void Recording::tell() const {
  if (wanted_.quiet || wanted_.live) return;
  constexpr double kMiB = 1024 * 1024;
  fmt::print(stderr, "[ perf record: Captured and wrote {:.3f} MB {} ({} samples) ]\n",
             static_cast<double>(bytes_) / kMiB, wanted_.output, nr_events_);
  if (nr_lost_ != 0) fmt::print(stderr, "[ perf record: {} events were lost ]\n", nr_lost_);
}

}  // namespace

bool is_recording(const std::string& path) {
  struct stat st {};
  if (::stat(path.c_str(), &st) != 0 || !S_ISREG(st.st_mode)) return false;
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line == kMagic;
}

Result<int> run_recording(const PerfRecord& wanted) {
  const EndSignals signals;
  Recording recording(wanted, signals);
  if (auto opened = recording.open(); !opened) return tl::unexpected(opened.error());
  std::optional<Child> command;
  if (!wanted.command.empty()) {
    auto started = Child::start(wanted.command, {});
    if (!started) return tl::unexpected(started.error());
    command.emplace(*std::move(started));
  }
  Result<void> drained;
  const int ended = command ? command->pidfd() : -1;
  while (drained && !wait_readable({signals.fd(), ended}, kPause)) drained = recording.drain();
  if (drained) drained = recording.drain();  // what came up to the signal
  recording.tell();
  if (!drained) return tl::unexpected(drained.error());
  if (!command) return 0;
  if (!command->ended()) command->send(SIGTERM);
  return command->wait();
}

}  // namespace damonfs
