#include "fs/client/wss.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/arithmetic.h"
#include "core/target.h"
#include "fs/client/target_options.h"
#include "fs/client/watchable.h"
#include "fs/client/wss_view.h"
#include "fs/command/child.h"
#include "fs/command/end_signals.h"
#include "fs/command/failures.h"
#include "fs/command/privileges.h"
#include "ops/base/steady_clock.h"
#include "ops/procfs/process.h"
#include "ops/pte/pte_backend.h"
#include "services/member_finder.h"
#include "services/memory_names.h"

namespace damonfs {
namespace {

constexpr uint64_t kSecond = 1000000000;
constexpr uint64_t kDefaultLength = 60 * kSecond;
constexpr uint64_t kMinInterval = kSecond / 100;
constexpr uint64_t kSlack = kSecond / 20;  // sweeps that are due within are done together

double process_cpu_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
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

  // One process that is measured.
  struct Measured {
    Measured(RegionPool& pool, std::shared_ptr<Process> held)
        : process(std::move(held)), target(pool, process), names(process->pid()) {}
    std::shared_ptr<Process> process;
    Target target;
    std::optional<WorkingSet> set;
    MemoryNames names;
    std::string status;  // of procfs, as last read
  };

  Result<void> start();
  Result<void> add(pid_t pid, double share_of_cpu);
  Result<void> add_group();
  // Adds processes of a service that are new.
  void add_newcomers();
  // Sweeps all; what ends measuring, if anything does.
  std::optional<End> sweep();
  [[nodiscard]] bool is_group() const { return finder_.has_value(); }
  // A row of --csv has no names.
  [[nodiscard]] bool tells_names() const { return !options_.by.empty() && !options_.csv; }
  [[nodiscard]] WssNames names() const;
  [[nodiscard]] WssResult group_result() const;
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
  std::optional<MemberFinder> finder_;  // of a service or several processes
  RegionPool pool_;
  std::vector<std::unique_ptr<Measured>> processes_;  // in order of their pids
  std::string name_;
  uint64_t measured_from_ = 0;
  double cpu_from_ = 0;
  double cpu_percent_ = 0;
};

Result<void> Measuring::start() {
  auto backend = PteBackend::create(Paths{});
  if (!backend) return tl::unexpected(backend.error());
  backend_ = std::move(*backend);
  if (options_.targets.any() && options_.targets.pids.size() != 1) return add_group();
  int pid = options_.targets.any() ? options_.targets.pids.front() : 0;
  if (!options_.command.empty()) {
    // Our standard output is for the figures alone.
    auto command = Child::start(options_.command, {.out = STDERR_FILENO, .err = STDERR_FILENO});
    if (!command) return tl::unexpected(command.error());
    command_.emplace(*std::move(command));
    pid = command_->pid();
  }
  if (auto added = add(pid, 1); !added) return added;
  name_ = processes_.front()->process->read_file("comm").value_or("?\n");
  if (!name_.empty()) name_.pop_back();
  return {};
}

Result<void> Measuring::add(pid_t pid, double share_of_cpu) {
  auto process = open_watchable(pid);
  if (!process) return tl::unexpected(process.error());
  auto measured = std::make_unique<Measured>(pool_, *std::move(process));
  measured->set.emplace(
      *backend_->sweeper(), measured->target, clock_,
      WorkingSetOptions{options_.interval_ns, options_.max_cpu / 100 * share_of_cpu});
  processes_.push_back(std::move(measured));
  return {};
}

Result<void> Measuring::add_group() {
  const auto selector = selector_of(options_.targets);
  if (!selector) return tl::unexpected(selector.error());
  finder_.emplace(*selector);
  const auto members = find_targets(*finder_);
  if (!members) return tl::unexpected(members.error());
  tell_left_out("damonfs wss", *members, "measured");
  Result<void> why;
  for (const Member& member : members->processes) {
    auto added = add(member.pid, 1.0 / static_cast<double>(members->processes.size()));
    if (!added) why = std::move(added);
  }
  return processes_.empty() ? why : Result<void>();
}

void Measuring::add_newcomers() {
  if (!is_group()) return;
  const Members members = finder_->find();
  for (const Member& member : members.processes) {
    const bool known = std::any_of(processes_.begin(), processes_.end(), [&](const auto& each) {
      return each->process->pid() == member.pid;
    });
    // One that has gone again is no fault.
    if (!known) (void)add(member.pid, 1.0 / static_cast<double>(members.processes.size()));
  }
}

std::optional<Measuring::End> Measuring::wait_until(uint64_t ns) {
  const uint64_t now = clock_.now_ns();
  const double seconds = ns > now ? static_cast<double>(ns - now) * 1e-9 : 0;
  const int target = is_group() ? -1 : processes_.front()->process->pidfd();
  const auto readable = wait_readable({signals_.fd(), target}, seconds);
  if (!readable) return std::nullopt;
  return *readable == 0 ? End::signal : End::target;
}

std::optional<Measuring::End> Measuring::sweep() {
  for (size_t i = 0; i < processes_.size();) {
    Measured& measured = *processes_[i];
    // Processes of a service have come at different times.
    if (is_group() && measured.set->next_ns() > clock_.now_ns() + kSlack) {
      ++i;
      continue;
    }
    const auto swept = measured.set->sweep([] { return EndSignals::received() != 0; });
    if (!swept && swept.error().code == ESRCH && is_group()) {
      finder_->forget(measured.process->pid());
      processes_.erase(processes_.begin() + static_cast<ptrdiff_t>(i));
      continue;
    }
    if (!swept && swept.error().code == ESRCH) return End::target;
    if (!swept) {
      tell("damonfs wss", swept.error().message);
      return End::failure;
    }
    if (!*swept) return End::signal;
    // While the process is there: of one that ends what was read last is known.
    auto status = measured.process->read_file("status");
    if (status && kib_of(*status, "VmRSS") != 0) measured.status = *std::move(status);
    if (is_group() || tells_names()) (void)measured.names.update();
    ++i;
  }
  return std::nullopt;
}

Measuring::End Measuring::measure() {
  if (options_.csv) fmt::print("{}\n", wss_csv_header());
  for (;;) {
    if (const auto ended = sweep()) return *ended;
    add_newcomers();
    if (processes_.empty()) return End::target;
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
    uint64_t next = UINT64_MAX;
    for (const auto& measured : processes_) next = std::min(next, measured->set->next_ns());
    if (now >= end || next > end + end / 100) return End::time;
    if (const auto ended = wait_until(next)) return *ended;
  }
}

WssResult Measuring::result() const {
  if (is_group()) return group_result();
  const Measured& only = *processes_.front();
  WssResult result;
  result.pid = only.process->pid();
  result.name = name_;
  result.rss = kib_of(only.status, "VmRSS") * 1024;
  result.pinned = kib_of(only.status, "VmPin") * 1024;
  result.cpu_percent = cpu_percent_;
  result.report = only.set->report();
  if (tells_names()) result.names = names();
  return result;
}

WssNames Measuring::names() const {
  WssNames names;
  uint64_t resident = 0;
  for (const auto& measured : processes_) {
    const WorkingSetReport report = measured->set->report();
    resident += report.resident;
    for (const auto& window : report.windows) {
      if (std::ranges::find(names.seconds, window.seconds) == names.seconds.end()) {
        names.seconds.push_back(window.seconds);
      }
    }
  }
  std::sort(names.seconds.begin(), names.seconds.end());
  MemoryGroups groups(parse_group_by(options_.by).value_or(GroupBy::file));
  uint64_t swept = 0;
  for (const auto& measured : processes_) {
    measured->set->visit_pages([&](AddrRange range, std::optional<uint64_t> seconds) {
      swept += range.size();
      const auto window = std::ranges::find(names.seconds, seconds.value_or(0));
      const auto accessed = static_cast<size_t>(window - names.seconds.begin());
      groups.add(measured->names, range,
                 !seconds        ? names.unknown_class()
                 : *seconds == 0 ? names.idle_class()
                                 : accessed);
    });
  }
  names.groups = groups.finish();
  // Where pages were sampled, those stand for all.
  if (swept == 0 || swept >= resident) return names;
  for (MemoryGroup& group : names.groups) {
    for (uint64_t& bytes : group.bytes) bytes = mult_frac(bytes, resident, swept);
  }
  return names;
}

WssResult Measuring::group_result() const {
  WssResult result;
  result.follow = to_string(finder_->selector());
  result.nr_processes = processes_.size();
  result.cpu_percent = cpu_percent_;
  WssNames found = names();
  WorkingSetReport& report = result.report;
  for (const auto& measured : processes_) {
    const WorkingSetReport own = measured->set->report();
    report.nr_sweeps = std::max(report.nr_sweeps, own.nr_sweeps);
    report.measured_ns = std::max(report.measured_ns, own.measured_ns);
    report.sampled_share = std::min(report.sampled_share, own.sampled_share);
    report.cost += own.cost;
    result.pinned += kib_of(measured->status, "VmPin") * 1024;
  }
  for (const auto seconds : found.seconds) report.windows.push_back({seconds, 0, 0});
  uint64_t idle = 0;
  for (const MemoryGroup& group : found.groups) {
    report.resident += group.total();
    report.unknown += group.bytes[found.unknown_class()];
    idle += group.bytes[found.idle_class()];
    for (size_t i = 0; i < found.seconds.size(); ++i) {
      report.windows[i].bytes += WssNames::within(group, i);
    }
  }
  if (!found.seconds.empty()) report.idle.push_back({found.seconds.back(), idle});
  result.rss = report.resident;
  if (tells_names()) result.names = std::move(found);
  return result;
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
    const auto idle = is_group()
                          ? std::nullopt
                          : processes_.front()->set->idle_for(*options_.emit_scheme_ns / kSecond);
    fmt::print("{}", wss_scheme(found, *options_.emit_scheme_ns, idle));
  } else if (options_.json) {
    fmt::print("{}\n", wss_json(found));
  } else if (!options_.csv) {
    fmt::print("{}", wss_text(found));
  }
  return std::fflush(stdout) == 0;
}

int Measuring::finish(End end) {
  const bool nothing = processes_.empty() || processes_.front()->set->report().nr_sweeps == 0;
  const bool printed = nothing || print(end);
  if (end == End::target && command_) {
    tell("damonfs wss", fmt::format("the command has ended with status {}", command_->wait()));
  } else if (end == End::target) {
    tell("damonfs wss",
         is_group() ? "all processes have ended"
                    : fmt::format("process {} has ended", processes_.front()->process->pid()));
  }
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
    if (no_command && backend_) return status_of_no_command(started.error());
    return 1;
  }
  return finish(measure());
}

}  // namespace

Result<void> check_wss_options(const WssOptions& options) {
  auto valid = check_targets(options.targets, options.command, "measured");
  if (!valid) return valid;
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
