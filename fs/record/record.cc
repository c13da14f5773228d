#include "fs/record/record.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cmath>
#include <csignal>
#include <memory>
#include <optional>
#include <utility>

#include "core/base/page_size.h"
#include "core/base/read_whole.h"
#include "fs/cli/version.h"
#include "fs/client/heatmap.h"
#include "fs/client/private_daemon.h"
#include "fs/client/target_options.h"
#include "fs/command/child.h"
#include "fs/command/daemon_state.h"
#include "fs/command/deadline.h"
#include "fs/command/failures.h"
#include "fs/command/monotonic.h"
#include "fs/record/own_kdamond.h"
#include "fs/record/snapshot_taker.h"
#include "fs/tree/values.h"
#include "recording/record_writer.h"

namespace damonfs {

namespace {

constexpr const char* kRecord = "damonfs record";
constexpr std::string_view kSynthetic = "synthetic:";
constexpr uint64_t kRecordUpdateUs = 1000000;
constexpr int kMaxBusy = 60;  // snapshots in a row that a busy kdamond may cost

uint64_t wall_us() {
  const auto time = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(time).count());
}

std::string clock_time(uint64_t time_us) {
  const auto seconds = static_cast<std::time_t>(time_us / 1000000);
  return fmt::format("{:%H:%M:%S}", fmt::localtime(seconds));
}

// One run of `damonfs record`, by the main thread. Members are in the order in which things start;
// they end the other way round.
class RecordRun {
 public:
  explicit RecordRun(const RecordOptions& options) : options_(options) {}
  int run();

 private:
  // Why it ended.
  enum class End { signal, target, time, daemon, failure };

  Result<void> start();
  Result<void> start_command();
  Result<void> start_kdamond(const std::string& mount);
  // What was asked for, as words.
  [[nodiscard]] std::string asked() const;
  [[nodiscard]] std::string pattern() const;
  End record();
  End record_snapshots();
  // Nothing while there is something to record.
  std::optional<End> take_snapshot();
  std::optional<End> wait_until(double time) const;
  Result<void> write_frame();
  End fail_with(const Error& error);
  void tell_end(End end);
  int finish(End end);

  const RecordOptions& options_;
  EndSignals signals_;
  std::optional<RecordWriter> writer_;
  std::optional<PrivateDaemon> daemon_;
  std::optional<Child> command_;
  std::vector<int> pids_;
  std::string follow_;
  std::optional<OwnKdamond> kdamond_;
  std::optional<SnapshotTaker> taker_;
  std::optional<FrameBuilder> frames_;
  uint64_t written_us_ = 0;  // time of the last snapshot that is in the file
  int busy_ = 0;
  double started_ = 0;  // monotonic, seconds
};

std::string RecordRun::pattern() const {
  return options_.backend.starts_with(kSynthetic) ? options_.backend.substr(kSynthetic.size()) : "";
}

std::string RecordRun::asked() const {
  if (!options_.command.empty()) return fmt::format("command {}", options_.command.front());
  if (options_.kdamond) return fmt::format("kdamond {}", *options_.kdamond);
  if (!follow_.empty()) return follow_;
  return fmt::format("pid {}", fmt::join(pids_, " "));
}

Result<void> RecordRun::start_command() {
  if (options_.command.empty()) return {};
  // Our standard output may be the record.
  const int out = options_.output == "-" ? STDERR_FILENO : STDOUT_FILENO;
  auto command = Child::start(options_.command, {.out = out, .err = STDERR_FILENO});
  if (!command) return tl::unexpected(command.error());
  command_.emplace(*std::move(command));
  pids_ = {command_->pid()};
  return {};
}

Result<void> RecordRun::start_kdamond(const std::string& mount) {
  MonitoringAttrs attrs;
  attrs.sample_us = options_.sample_ns / 1000;
  attrs.aggr_us = options_.aggr_ns / 1000;
  attrs.update_us = std::max(kRecordUpdateUs, attrs.aggr_us);
  if (auto valid = attrs.validate(); !valid) return valid;
  if (auto started = start_command(); !started) return started;
  if (options_.targets.any()) {
    const auto selector = selector_of(options_.targets);
    if (!selector) return tl::unexpected(selector.error());
    if (selector->kind == Selector::Kind::pids) {
      pids_.assign(selector->pids.begin(), selector->pids.end());
    } else {
      MemberFinder finder(*selector);
      const auto found = find_targets(finder);
      if (!found) return tl::unexpected(found.error());
      for (const Member& member : found->processes) pids_.push_back(member.pid);
      follow_ = to_string(*selector);
    }
  }
  if (pids_.empty() && follow_.empty()) pids_ = {1};  // a pattern's nameless process
  auto kdamond = OwnKdamond::start(mount, pids_, follow_, attrs);
  if (!kdamond) return tl::unexpected(kdamond.error());
  kdamond_.emplace(*std::move(kdamond));
  if (!follow_.empty() && !kdamond_->follows()) {
    tell(kRecord, "the daemon does not follow processes: those that come later are not recorded");
  }
  return {};
}

Result<void> RecordRun::start() {
  auto memories = TargetMemories::make(pattern());
  if (!memories) return tl::unexpected(memories.error());
  auto writer = RecordWriter::create(options_.output, options_.max_bytes, options_.replace);
  if (!writer) return tl::unexpected(writer.error());
  writer_.emplace(*std::move(writer));
  std::string mount = options_.mount;
  if (mount.empty()) {
    auto daemon = PrivateDaemon::start(options_.backend, signals_);
    if (!daemon) return tl::unexpected(daemon.error());
    daemon_.emplace(*std::move(daemon));
    mount = daemon_->mount();
  }
  if (auto there = check_not_silent(mount); !there) return there;
  if (!options_.kdamond) {
    if (auto started = start_kdamond(mount); !started) return started;
  }
  RecordHead head;
  head.program = std::string("damonfs ") + version_number();
  if (const auto boot = read_whole("/proc/sys/kernel/random/boot_id")) {
    head.boot_id = without_newline(*boot);
  }
  head.asked = asked();
  head.page_size = kPageSize;
  const std::string directory =
      fmt::format("{}/damonfs/kdamonds/{}", mount, options_.kdamond.value_or(0));
  const std::string path = directory + "/regions";
  if (::access(path.c_str(), R_OK) != 0) {
    if (options_.kdamond && errno == ENOENT) {
      return fail(ENOENT, "there is no kdamond {} at {}", *options_.kdamond, mount);
    }
    return failed("read", path);
  }
  taker_.emplace(path, std::move(head), *std::move(memories), options_.exact);
  FrameBounds bounds;
  bounds.max_bytes = std::min(bounds.max_bytes, writer_->max_frame_bytes());
  frames_.emplace(bounds);
  started_ = monotonic_seconds();
  return {};
}

std::optional<RecordRun::End> RecordRun::wait_until(double time) const {
  const int target = command_ ? command_->pidfd() : -1;
  const int daemon = daemon_ ? daemon_->process().pidfd() : -1;
  const auto readable = wait_readable({signals_.fd(), target, daemon}, time - monotonic_seconds());
  if (!readable) return std::nullopt;
  constexpr End kEnds[] = {End::signal, End::target, End::daemon};
  return kEnds[*readable];
}

Result<void> RecordRun::write_frame() {
  if (frames_->empty()) return {};
  const RecordFrame frame = frames_->take();
  if (auto written = writer_->write(frame); !written) return written;
  written_us_ = frame.snapshots.back().time_us;
  return {};
}

RecordRun::End RecordRun::fail_with(const Error& error) {
  if (EndSignals::received() != 0) return End::signal;
  // The daemon may have been killed a moment ago.
  if (daemon_) {
    if (const auto end = wait_until(monotonic_seconds() + 0.2)) return *end;
  }
  tell(kRecord, error.message);
  return End::failure;
}

std::optional<RecordRun::End> RecordRun::take_snapshot() {
  const Deadline bound(kLookUpPatience, "the daemon does not answer any more; is it stopped?",
                       kRecord);
  const auto taken = taker_->take(*frames_, wall_us(), monotonic_seconds());
  if (taken) {
    busy_ = 0;
    if (!*taken) return End::target;
    return std::nullopt;
  }
  // It works on something for longer than a reader waits: there will be another snapshot.
  if (taken.error().code == EBUSY && ++busy_ < kMaxBusy) return std::nullopt;
  if (taken.error().code == ENODEV || taken.error().code == ENOENT) return End::target;
  return fail_with(taken.error());
}

RecordRun::End RecordRun::record_snapshots() {
  const double every = static_cast<double>(options_.every_ns) / 1e9;
  const double length = static_cast<double>(options_.for_ns) / 1e9;
  const double deadline = options_.for_ns > 0 ? started_ + length : HUGE_VAL;
  double next = started_ + std::min(every, options_.for_ns > 0 ? length : every);
  while (true) {
    if (const auto end = wait_until(next)) return *end;
    if (const auto end = take_snapshot()) return *end;
    if (frames_->full()) {
      if (auto written = write_frame(); !written) return fail_with(written.error());
    }
    if (monotonic_seconds() >= deadline) return End::time;
    // Snapshots that could not be taken in time are left out, not caught up on.
    while (next <= monotonic_seconds()) next += every;
    next = std::min(next, deadline);
  }
}

RecordRun::End RecordRun::record() {
  const End end = record_snapshots();
  auto written = write_frame();
  if (written) written = writer_->finish();
  if (written || end == End::failure) return end;
  tell(kRecord, written.error().message);
  return End::failure;
}

void RecordRun::tell_end(End end) {
  if (end == End::daemon) tell(kRecord, "the daemon has ended:\n" + daemon_->log());
  if (end == End::target && command_) return;
  if (end == End::target) {
    tell(kRecord, options_.kdamond ? "the kdamond has ended" : "what was recorded has ended");
  }
}

int RecordRun::finish(End end) {
  tell_end(end);
  const bool broken = end == End::failure || end == End::daemon;
  if (written_us_ == 0) {
    writer_->remove_empty();
    tell(kRecord, "there was no snapshot: nothing was recorded");
  } else if (broken) {
    tell(kRecord, fmt::format("{} is readable, with what was found until {}", options_.output,
                              clock_time(written_us_)));
  } else {
    tell(kRecord, fmt::format("{} snapshots in {}: {} in {}", taker_->nr_snapshots(),
                              human_time(monotonic_seconds() - started_),
                              human_size(writer_->bytes_written()),
                              options_.output == "-" ? "standard output" : options_.output));
  }
  const int status = command_ ? finish_command(*command_, end == End::target, kRecord) : 0;
  return broken || written_us_ == 0 ? 1 : status;
}

int RecordRun::run() {
  if (auto started = start(); !started) {
    if (writer_) writer_->remove_empty();
    if (const int signal = EndSignals::received(); signal != 0) return 128 + signal;
    tell(kRecord, started.error().message);
    if (daemon_ && !daemon_->log().empty()) tell(kRecord, daemon_->log());
    const bool no_command = !options_.command.empty() && !command_;
    if (command_ && !command_->ended()) command_->stop(kCommandSeconds);
    if (no_command && daemon_) return status_of_no_command(started.error());
    return 1;
  }
  return finish(record());
}

}  // namespace

Result<void> check_record_options(const RecordOptions& options) {
  const bool synthetic = options.backend.starts_with(kSynthetic);
  const int given = static_cast<int>(options.targets.any()) +
                    static_cast<int>(!options.command.empty()) +
                    static_cast<int>(options.kdamond.has_value());
  if (given > 1) return fail(EINVAL, "one of processes, a command and --kdamond, not several");
  if (given == 0 && !synthetic) {
    return fail(EINVAL,
                "what is to be recorded? Give a pid, --unit, --cgroup, --tree, --comm, "
                "--kdamond, or a command behind --");
  }
  if (options.kdamond && options.mount.empty()) {
    return fail(EINVAL, "--kdamond is of a daemon that runs: give --mount, too");
  }
  if (!options.mount.empty() && options.backend != "auto") {
    return fail(EINVAL, "--backend is for a daemon of our own; the one at {} has chosen",
                options.mount);
  }
  if (options.output == "-" && ::isatty(STDOUT_FILENO) == 1) {
    return fail(EINVAL, "a record is not for a terminal: give -o FILE");
  }
  if (options.every_ns < 10'000'000) return fail(EINVAL, "--every must be 10ms at the least");
  return {};
}

int run_record(const RecordOptions& options) {
  if (auto valid = check_record_options(options); !valid) {
    tell(kRecord, valid.error().message);
    return 2;
  }
  // Writes fail instead. A handler, unlike a signal that is ignored, is not inherited by the
  // command.
  ::signal(SIGXFSZ, [](int) {});
  return RecordRun(options).run();
}

}  // namespace damonfs
