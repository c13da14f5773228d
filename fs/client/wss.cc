#include "fs/client/wss.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <memory>
#include <optional>
#include <string>

#include "core/base/read_whole.h"
#include "core/target.h"
#include "fs/client/watchable.h"
#include "fs/client/wss_view.h"
#include "fs/command/child.h"
#include "fs/command/end_signals.h"
#include "fs/command/failures.h"
#include "fs/command/privileges.h"
#include "ops/base/steady_clock.h"
#include "ops/procfs/process.h"
#include "ops/pte/pte_backend.h"

namespace damonfs {
namespace {

constexpr uint64_t kSecond = 1000000000;
constexpr uint64_t kDefaultLength = 60 * kSecond;
constexpr uint64_t kMinInterval = kSecond / 100;
double process_cpu_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

Result<std::string> read_file(const Process& process, const char* name) {
  const auto file = process.open_file(name, O_RDONLY);
  if (!file) return tl::unexpected(file.error());
  return read_whole(*file);
}

// The number of KiB behind `key` in a status file; 0 where it is not there.
uint64_t kib_of(const std::string& status, const std::string& key) {
  const size_t at = status.find("\n" + key + ":");
  return at == std::string::npos ? 0 : std::strtoull(&status[at + key.size() + 2], nullptr, 10);
}

// One run of `damonfs wss`, by the main thread. Members are in the order in which things start.
class Measuring {
 public:
  explicit Measuring(const WssOptions& options) : options_(options) {}
  int run();

 private:
  // Why measuring ended.
  enum class End { time, signal, target, failure };

  Result<void> start();
  End measure();
  // Waits until `ns` of the clock; why it should not wait on.
  std::optional<End> wait_until(uint64_t ns);
  [[nodiscard]] WssResult result() const;
  // False when nobody reads any more.
  [[nodiscard]] bool print_row() const;
  bool print(End end);
  int finish(End end);

  const WssOptions& options_;
  EndSignals signals_;
  SteadyClock clock_;
  std::unique_ptr<PteBackend> backend_;
  std::optional<Child> command_;
  std::shared_ptr<Process> process_;
  RegionPool pool_;
  std::optional<Target> target_;
  std::optional<WorkingSet> set_;
  std::string name_;
  std::string status_;  // of procfs, as last read
  uint64_t measured_from_ = 0;
  double cpu_from_ = 0;
  double cpu_percent_ = 0;
};

Result<void> Measuring::start() {
  auto backend = PteBackend::create(Paths{});
  if (!backend) return tl::unexpected(backend.error());
  backend_ = std::move(*backend);
  int pid = options_.pid;
  if (!options_.command.empty()) {
    // Our standard output is for the figures alone.
    auto command = Child::start(options_.command, {.out = STDERR_FILENO, .err = STDERR_FILENO});
    if (!command) return tl::unexpected(command.error());
    command_.emplace(*std::move(command));
    pid = command_->pid();
  }
  auto process = open_watchable(pid);
  if (!process) return tl::unexpected(process.error());
  process_ = *std::move(process);
  name_ = read_file(*process_, "comm").value_or("?\n");
  if (!name_.empty()) name_.pop_back();
  target_.emplace(pool_, process_);
  set_.emplace(*backend_->sweeper(), *target_, clock_,
               WorkingSetOptions{options_.interval_ns, options_.max_cpu / 100});
  return {};
}

std::optional<Measuring::End> Measuring::wait_until(uint64_t ns) {
  const uint64_t now = clock_.now_ns();
  const double seconds = ns > now ? static_cast<double>(ns - now) * 1e-9 : 0;
  const auto readable = wait_readable({signals_.fd(), process_->pidfd()}, seconds);
  if (!readable) return std::nullopt;
  return *readable == 0 ? End::signal : End::target;
}

Measuring::End Measuring::measure() {
  if (options_.csv) fmt::print("{}\n", wss_csv_header());
  for (;;) {
    const auto swept = set_->sweep([] { return EndSignals::received() != 0; });
    if (!swept && swept.error().code == ESRCH) return End::target;
    if (!swept) {
      tell("damonfs wss", swept.error().message);
      return End::failure;
    }
    if (!*swept) return End::signal;
    if (auto status = read_file(*process_, "status")) status_ = std::move(*status);
    const uint64_t now = clock_.now_ns();
    if (measured_from_ == 0) {
      measured_from_ = now;
      cpu_from_ = process_cpu_seconds();
    } else {
      cpu_percent_ = 100 * (process_cpu_seconds() - cpu_from_) /
                     std::max(1e-9, static_cast<double>(now - measured_from_) * 1e-9);
      if (options_.csv && !print_row()) return End::failure;
    }
    // The last sweep may come a little late, so that it still counts.
    const uint64_t end = measured_from_ + options_.for_ns;
    const uint64_t next = set_->next_ns();
    if (now >= end || next > end + end / 100) return End::time;
    if (const auto ended = wait_until(next)) return *ended;
  }
}

WssResult Measuring::result() const {
  return {.pid = process_->pid(),
          .name = name_,
          .rss = kib_of(status_, "VmRSS") * 1024,
          .pinned = kib_of(status_, "VmPin") * 1024,
          .cpu_percent = cpu_percent_,
          .report = set_->report()};
}

bool Measuring::print_row() const {
  fmt::print("{}\n", wss_csv(result()));
  return std::fflush(stdout) == 0;
}

bool Measuring::print(End end) {
  const WssResult found = result();
  if (options_.emit_scheme_ns) {
    std::fputs(wss_text(found).c_str(), stderr);
    if (end != End::time) {
      tell("damonfs wss", "no scheme: measuring was cut short");
      return true;
    }
    const auto idle = set_->idle_for(*options_.emit_scheme_ns / kSecond);
    fmt::print("{}", wss_scheme(found, *options_.emit_scheme_ns, idle));
  } else if (options_.json) {
    fmt::print("{}\n", wss_json(found));
  } else if (!options_.csv) {
    fmt::print("{}", wss_text(found));
  }
  return std::fflush(stdout) == 0;
}

int Measuring::finish(End end) {
  const bool printed = set_->report().nr_sweeps == 0 || print(end);
  if (end == End::target)
    tell("damonfs wss", command_
                            ? fmt::format("the command has ended with status {}", command_->wait())
                            : fmt::format("process {} has ended", process_->pid()));
  const int status = command_ && end == End::target ? command_->wait() : 0;
  if (command_ && !command_->ended()) command_->stop(kCommandSeconds);
  if (end == End::signal) return 128 + EndSignals::received();
  return end == End::failure || !printed ? 1 : status;
}

int Measuring::run() {
  if (auto started = start(); !started) {
    if (EndSignals::received() != 0) return 128 + EndSignals::received();
    tell("damonfs wss", started.error().message);
    const bool no_command = !options_.command.empty() && !command_;
    if (command_ && !command_->ended()) command_->stop(kCommandSeconds);
    if (no_command && backend_) return started.error().code == ENOENT ? 127 : 126;
    return 1;
  }
  return finish(measure());
}

}  // namespace

Result<void> check_wss_options(const WssOptions& options) {
  if (options.pid != 0 && !options.command.empty())
    return fail(EINVAL, "either a process or a command can be measured, not both");
  if (options.pid == 0 && options.command.empty())
    return fail(EINVAL, "which process? Give its pid, or a command behind --");
  if (options.interval_ns != 0 && options.interval_ns < kMinInterval)
    return fail(EINVAL, "--interval must be 10 ms at the least");
  if (!(options.max_cpu > 0) || options.max_cpu > 100)
    return fail(EINVAL, "--max-cpu is a percentage of one processor, above 0 and up to 100");
  if (options.for_ns != 0 && options.for_ns < std::max(options.interval_ns, kMinInterval))
    return fail(EINVAL, "--for must be an --interval at the least");
  if (options.emit_scheme_ns && *options.emit_scheme_ns < kSecond)
    return fail(EINVAL, "--emit-scheme takes an age of 1 s at the least");
  if (options.emit_scheme_ns && options.for_ns != 0 && options.for_ns < *options.emit_scheme_ns)
    return fail(EINVAL, "what is idle that long cannot be known: --for is shorter");
  return {};
}

int run_wss(const WssOptions& given) {
  if (auto valid = check_wss_options(given); !valid) {
    tell("damonfs wss", valid.error().message);
    return 2;
  }
  if (auto may = check_may_look(); !may) return complain(may.error().message, "damonfs wss");
  WssOptions options = given;
  if (options.for_ns == 0)
    options.for_ns = std::max(kDefaultLength, options.emit_scheme_ns.value_or(0));
  return Measuring(options).run();
}

}  // namespace damonfs
