#include "fs/client/watch.h"

#include <fmt/format.h>
#include <langinfo.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <optional>
#include <span>

#include "core/base/read_json.h"
#include "core/base/read_whole.h"
#include "fs/client/named_snapshot.h"
#include "fs/client/private_daemon.h"
#include "fs/client/row_peak.h"
#include "fs/client/target_options.h"
#include "fs/client/tree_client.h"
#include "fs/client/tuning_state.h"
#include "fs/client/watch_attrs.h"
#include "fs/client/watch_view.h"
#include "fs/client/watchable.h"
#include "fs/command/child.h"
#include "fs/command/daemon_state.h"
#include "fs/command/failures.h"
#include "fs/command/monotonic.h"
#include "fs/command/privileges.h"
#include "ops/procfs/device_access.h"
#include "ops/procfs/maps.h"
#include "ops/procfs/process.h"

namespace damonfs {

namespace {

constexpr uint64_t kGroupRegions = 10000;  // at most, of several processes
constexpr size_t kNamesReadARow = 64;      // processes whose names are read anew for a row
constexpr size_t kNameRows = 8;            // of the table of one process

bool is_one_process(const TargetOptions& targets) { return targets.pids.size() == 1; }

bool is_synthetic(const WatchOptions& options) { return options.backend.starts_with("synthetic"); }

// Whether the daemon at `mount` watches described processes, of which the machine knows nothing.
bool serves_pattern(const std::string& mount) {
  if (mount.empty()) return false;
  const auto text = read_whole(mount + "/damonfs/status.json");
  if (!text) return false;
  const auto status = ReadJson::parse(*text, nullptr, false);
  return status.is_object() &&
         status.value(ReadJson::json_pointer("/daemon/backend"), std::string()) == "synthetic";
}

double now() {
  const auto time = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration<double>(time).count();
}

// The name that ps shows.
std::string name_of(int pid) {
  std::ifstream file(fmt::format("/proc/{}/comm", pid));
  std::string name;
  std::getline(file, name);
  return name.empty() ? "?" : name;
}

std::string title_of(const WatchOptions& options, int pid) {
  if (is_synthetic(options)) return "SYNTHETIC accesses (" + options.backend + "), no real process";
  return fmt::format("process {} ({}), every {}", pid, name_of(pid), human_time(options.interval));
}

bool wants_colour(const WatchOptions& options) {
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  return !options.no_color && !(no_color && *no_color) && term && strcmp(term, "dumb") != 0;
}

std::unique_ptr<GroupView> make_group_view(const WatchOptions& options) {
  if (options.json) return make_json_group_view(stdout);
  DrawOptions draw;
  const auto selector = selector_of(options.targets);
  draw.title = fmt::format("{}, every {}", selector ? to_string(*selector) : std::string(),
                           human_time(options.interval));
  draw.width = static_cast<size_t>(options.width);
  draw.rows = static_cast<size_t>(options.rows);
  return make_table_view(stdout, draw);
}

std::unique_ptr<WatchView> make_view(const WatchOptions& options, int pid) {
  if (options.json) return make_json_view(stdout);
  DrawOptions draw;
  draw.title = title_of(options, pid);
  draw.width = static_cast<size_t>(options.width);
  draw.rows = static_cast<size_t>(options.rows);
  const bool terminal = ::isatty(STDOUT_FILENO) == 1;
  if (terminal) {
    std::setlocale(LC_CTYPE, "");
    draw.utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    draw.colour = wants_colour(options);
  }
  // A command's own output would tear a picture that is redrawn in place.
  if (terminal && options.command.empty()) return make_live_view(stdout, draw);
  return make_scrolling_view(stdout, draw);
}

// One run of `damonfs watch`, by the main thread. Members are in the order in which things start;
// they end the other way round.
class Watching {
 public:
  explicit Watching(const WatchOptions& options) : options_(options) {}
  int run();

 private:
  // Why watching ended.
  enum class End { signal, target, seconds, unread, failure };
  // A service or several processes, as against one.
  [[nodiscard]] bool is_group() const { return group_view_ != nullptr; }
  // What is to be watched; ESRCH when there is none of it.
  Result<WatchedProcesses> find_group();
  std::optional<End> show_one();
  std::optional<End> show_group();

  Result<void> start();
  [[nodiscard]] Result<void> check_mount() const;
  Result<void> start_daemon();
  [[nodiscard]] std::string last_reason() const;
  Result<void> start_command();
  Result<void> hold_target(pid_t pid);
  End watch();
  // Takes a snapshot into the running row; what prevents that.
  Result<void> look();
  // The row, with what only a watcher on the same machine knows.
  Snapshot take_row();
  // Says what its memory is called.
  void name(Snapshot& snapshot);
  std::optional<End> wait_until(double time) const;
  // After a snapshot that failed: because the target has ended, or for another reason.
  End end_after(const Error& error) const;
  int finish(End end);

  const WatchOptions& options_;
  EndSignals signals_;
  bool described_ = false;  // processes are: the machine knows nothing of them
  std::optional<PrivateDaemon> daemon_;
  std::optional<Child> command_;
  std::shared_ptr<Process> process_;  // the one that is watched; null if it is only described
  int pid_ = 0;
  std::string mount_;  // where the daemon serves
  std::optional<TreeWatch> tree_;
  std::unique_ptr<WatchView> view_;
  std::unique_ptr<GroupView> group_view_;  // in place of view_ for several processes
  SnapshotNames names_;
  TuningState tuning_;
  RowPeak row_;
  double started_ = 0;    // monotonic, seconds
  double row_began_ = 0;  // likewise
  double next_look_ = 0;  // likewise
};

// Of a pid this comes first: what is wrong with it needs no daemon.
Result<void> Watching::hold_target(pid_t pid) {
  pid_ = pid == 0 ? 1 : pid;  // 1: of a pattern's nameless process
  if (described_) return {};
  auto process = open_watchable(pid_);
  if (!process) return tl::unexpected(process.error());
  process_ = *std::move(process);
  if (const auto mapped = read_maps(*process_); !mapped) return tl::unexpected(mapped.error());
  if (const std::string device = device_access(*process_); !device.empty()) {
    tell("damonfs watch",
         fmt::format("process {} has {}: accesses by that do not show", pid_, device));
  }
  return {};
}

Result<void> Watching::start_command() {
  // Our standard output is for the map alone when it goes to a program or a file.
  const bool shared = !options_.json && ::isatty(STDOUT_FILENO) == 1;
  auto command = Child::start(
      options_.command, {.out = shared ? STDOUT_FILENO : STDERR_FILENO, .err = STDERR_FILENO});
  if (!command) return tl::unexpected(command.error());
  command_.emplace(*std::move(command));
  return hold_target(command_->pid());
}

// Whether somebody answers at the mount point that was given.
Result<void> Watching::check_mount() const {
  if (options_.mount.empty()) return {};
  if (auto there = check_not_silent(options_.mount); !there) return there;
  return check_has_tree(options_.mount);
}

// A daemon of our own, unless one serves already.
Result<void> Watching::start_daemon() {
  mount_ = options_.mount;
  if (!mount_.empty()) return {};
  auto daemon = PrivateDaemon::start(options_.backend, signals_);
  if (!daemon) return tl::unexpected(daemon.error());
  daemon_.emplace(*std::move(daemon));
  mount_ = daemon_->mount();
  return {};
}

// The reason that the daemon gives for its last refusal; empty when it gives none.
std::string Watching::last_reason() const {
  auto lines = read_whole(mount_ + "/damonfs/last_errors");
  if (!lines || !lines->ends_with('\n')) return {};
  lines->pop_back();
  return lines->substr(lines->rfind('\t') + 1);
}

Result<WatchedProcesses> Watching::find_group() {
  const auto selector = selector_of(options_.targets);
  if (!selector) return tl::unexpected(selector.error());
  if (described_ && selector->kind == Selector::Kind::pids) {
    return WatchedProcesses{{selector->pids.begin(), selector->pids.end()}, {}};
  }
  MemberFinder finder(*selector);
  const auto members = find_targets(finder);
  if (!members) return tl::unexpected(members.error());
  tell_left_out("damonfs watch", *members, "watched");
  if (selector->kind != Selector::Kind::pids) return WatchedProcesses{{}, to_string(*selector)};
  for (const pid_t pid : selector->pids) {
    if (std::ranges::find(members->processes, pid, &Member::pid) == members->processes.end()) {
      return fail(ESRCH, "there is no process {} that has memory", pid);
    }
  }
  return WatchedProcesses{{selector->pids.begin(), selector->pids.end()}, {}};
}

Result<void> Watching::start() {
  auto may = options_.mount.empty() ? check_may_mount() : check_mount();
  if (!may) return may;
  described_ = is_synthetic(options_) || serves_pattern(options_.mount);
  const bool group = options_.targets.any() && !is_one_process(options_.targets);
  WatchedProcesses watched;
  if (group) {
    auto found = find_group();
    if (!found) return tl::unexpected(found.error());
    watched = *std::move(found);
  } else if (options_.command.empty()) {
    const auto& pids = options_.targets.pids;
    if (auto held = hold_target(pids.empty() ? 0 : pids.front()); !held) return held;
  }
  if (auto daemon = start_daemon(); !daemon) return daemon;
  if (!options_.command.empty()) {
    if (auto command = start_command(); !command) return command;
  }
  MonitoringAttrs attrs = watch_attrs(options_);
  if (group) attrs.max_nr_regions = std::max(attrs.max_nr_regions, kGroupRegions);
  if (!group) watched.pids = {pid_};
  auto tree = TreeWatch::start(mount_, watched, attrs);
  if (!tree) {
    const std::string reason = daemon_ ? last_reason() : std::string();
    return fail(tree.error().code, "{}{}{}", tree.error().message, reason.empty() ? "" : ": ",
                reason);
  }
  tree_.emplace(*std::move(tree));
  if (group) {
    group_view_ = make_group_view(options_);
  } else {
    view_ = make_view(options_, pid_);
  }
  started_ = monotonic_seconds();
  return {};
}

std::optional<Watching::End> Watching::wait_until(double time) const {
  const int target = process_ ? process_->pidfd() : -1;
  const int daemon = daemon_ ? daemon_->process().pidfd() : -1;
  const auto readable = wait_readable({signals_.fd(), target, daemon}, time - monotonic_seconds());
  if (!readable) return std::nullopt;
  constexpr End kEnds[] = {End::signal, End::target, End::failure};
  if (kEnds[*readable] == End::failure)
    tell("damonfs watch", "the daemon has ended:\n" + daemon_->log());
  return kEnds[*readable];
}

Watching::End Watching::end_after(const Error& error) const {
  if (EndSignals::received() != 0) return End::signal;
  // The kdamond may see the end of a process a moment before we do. One that is only described we
  // cannot see at all.
  constexpr double kGrace = 0.5;
  if (const auto end = wait_until(monotonic_seconds() + kGrace)) return *end;
  if (is_synthetic(options_) && !tree_->running()) return End::target;
  tell("damonfs watch", error.message);
  if (daemon_) tell("damonfs watch", daemon_->log());
  return End::failure;
}

Result<void> Watching::look() {
  // A few looks a row at most, and a small share of the time.
  constexpr double kLooksARow = 10;
  constexpr double kOneOutOf = 30;
  const double began = monotonic_seconds();
  auto snapshot = tree_->snapshot();
  const double ended = monotonic_seconds();
  next_look_ = ended + std::max(options_.interval / kLooksARow, kOneOutOf * (ended - began));
  if (!snapshot && snapshot.error().code == EBUSY) return {};
  if (!snapshot) return tl::unexpected(snapshot.error());
  snapshot->monotonic = ended;
  snapshot->elapsed = ended - started_;
  tuning_.note(*snapshot);
  row_.add(*snapshot);
  return {};
}

Snapshot Watching::take_row() {
  Snapshot row = row_.take();
  row.time = now();
  row.row = monotonic_seconds() - row_began_;
  row_began_ = monotonic_seconds();
  if (!process_ || options_.json) return row;
  if (auto maps = read_maps(*process_)) row.mapped = *std::move(maps);
  return row;
}

void Watching::name(Snapshot& snapshot) {
  if (!process_ || options_.json) return;
  const std::span one(&snapshot, 1);
  names_.update(one, 1);
  const auto sums = names_.sums(one, GroupBy::file);
  if (!sums.empty() && accessed_bytes(sums.front()) > 0) snapshot.hottest = sums.front().name;
  DrawOptions draw;
  draw.width = static_cast<size_t>(options_.width);
  snapshot.names = name_table(sums, kNameRows, line_width(stdout, draw));
}

std::optional<Watching::End> Watching::show_one() {
  if (row_.empty()) return std::nullopt;
  Snapshot row = take_row();
  name(row);
  return view_->show(row) ? std::nullopt : std::optional(End::unread);
}

std::optional<Watching::End> Watching::show_group() {
  auto processes = tree_->snapshots();
  if (!processes && processes.error().code == ECANCELED) return End::target;
  if (!processes) return end_after(processes.error());
  GroupSnapshot snapshot;
  snapshot.processes = *std::move(processes);
  snapshot.time = now();
  snapshot.monotonic = monotonic_seconds();
  snapshot.elapsed = snapshot.monotonic - started_;
  if (snapshot.processes.empty()) snapshot.none = tree_->follow_state();
  if (!described_) {
    names_.update(snapshot.processes, kNamesReadARow);
    snapshot.by_name = names_.sums(snapshot.processes, GroupBy::file);
  }
  return group_view_->show(snapshot) ? std::nullopt : std::optional(End::unread);
}

Watching::End Watching::watch() {
  const double deadline = options_.seconds > 0 ? started_ + options_.seconds : HUGE_VAL;
  double next = started_ + std::min(options_.interval,
                                    options_.seconds > 0 ? options_.seconds : options_.interval);
  row_began_ = started_;
  next_look_ = next;
  while (true) {
    if (const auto end = wait_until(is_group() ? next : std::min(next, next_look_))) return *end;
    if (!is_group()) {
      if (auto looked = look(); !looked) return end_after(looked.error());
    }
    if (monotonic_seconds() < next) continue;
    if (const auto end = is_group() ? show_group() : show_one()) return *end;
    if (monotonic_seconds() >= deadline) return End::seconds;
    // Snapshots that could not be taken in time are left out, not caught up on.
    while (next <= monotonic_seconds()) next += options_.interval;
    next = std::min(next, deadline);
  }
}

int Watching::finish(End end) {
  const double lasted = monotonic_seconds() - started_;
  if (end != End::unread && view_ && !view_->finish()) end = End::unread;
  int status = 0;
  if (command_) {
    status = finish_command(*command_, end == End::target, "damonfs watch");
  } else if (end == End::target) {
    const std::string who = is_group() ? "all processes have" : fmt::format("process {} has", pid_);
    tell("damonfs watch", fmt::format("{} ended after {} of watching", who, human_time(lasted)));
  }
  if (end == End::signal) return 128 + EndSignals::received();
  return end == End::failure || end == End::unread ? 1 : status;
}

int Watching::run() {
  if (auto started = start(); !started) {
    const int signal = EndSignals::received();
    if (signal != 0) return 128 + signal;
    tell("damonfs watch", started.error().message);
    if (command_ && !command_->ended()) command_->stop(kCommandSeconds);
    const bool no_command = !options_.command.empty() && !command_;
    if (no_command && daemon_) return status_of_no_command(started.error());
    return 1;
  }
  return finish(watch());
}

}  // namespace

Result<void> check_watch_options(const WatchOptions& options) {
  // What is only described needs no name.
  if (options.targets.any() || !options.command.empty() || !is_synthetic(options)) {
    auto valid = check_targets(options.targets, options.command, "watched");
    if (!valid) return valid;
  }
  if (!options.mount.empty() && !options.backend.empty() && options.backend != "auto") {
    return fail(EINVAL, "--backend is for a daemon of our own; the one at {} has chosen",
                options.mount);
  }
  if (!(options.interval >= 0.01)) return fail(EINVAL, "--interval must be 0.01 s at the least");
  if (!(options.seconds >= 0)) return fail(EINVAL, "--seconds must not be negative");
  return check_watch_attrs(options);
}

int run_watch(const WatchOptions& options) {
  if (auto valid = check_watch_options(options); !valid) {
    tell("damonfs watch", valid.error().message);
    return 2;
  }
  return Watching(options).run();
}

}  // namespace damonfs
