#include "fs/daemon/daemon.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <malloc.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstring>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "core/base/read_whole.h"
#include "fs/command/daemon_state.h"
#include "fs/command/failures.h"
#include "fs/command/privileges.h"
#include "fs/config/config.h"
#include "fs/daemon/background.h"
#include "fs/daemon/keeper.h"
#include "fs/daemon/kept_state.h"
#include "fs/daemon/log.h"
#include "fs/daemon/service_manager.h"
#include "fs/daemon/stop_signals.h"
#include "fs/damon/admin_directory.h"
#include "fs/damon/followers.h"
#include "fs/damon/pinned_targets.h"
#include "fs/damonfs/damonfs_directory.h"
#include "fs/fuse/session.h"
#include "fs/metrics/exporter.h"
#include "fs/modules/module_files.h"
#include "fs/mount/mounts.h"
#include "fs/tracing/trace_pipe.h"
#include "ops/procfs/free_memory.h"
#include "ops/real_machine.h"
#include "services/process_memory.h"

namespace damonfs {

namespace {

// What comes first in the pipe of StartReport; after `kFailed` the reason.
constexpr char kReady = 'r';
constexpr char kFailed = 'f';

// A pipe's ends; invalid when there is none to be had.
struct Pipe {
  Fd read;
  Fd write;
  Pipe() {
    std::array<int, 2> ends{-1, -1};
    if (::pipe2(ends.data(), O_CLOEXEC) == 0) {
      read = Fd(ends[0]);
      write = Fd(ends[1]);
    }
  }
};

// Signals wait meanwhile: nothing in it takes long.
Result<void> configure(Tree& tree, const MountOptions& options, std::vector<std::string>& notes) {
  if (options.config.empty()) return {};
  LocalTreeWriter writer(tree);
  auto applied = apply_config_file(options.config, writer);
  for (const std::string& kdamond : writer.left_off()) {
    notes.push_back(fmt::format(
        "{}: kdamond {} is set up and off; to switch it on add \"state: on\" to it, or write on to "
        "{}/{}/state",
        options.config, kdamond.substr(kdamond.rfind('/') + 1), options.mount_point, kdamond));
  }
  return applied;
}

// Whether `words` name a process that has gone.
bool names_gone(std::string_view words) {
  constexpr std::string_view kPid = "pid=";
  if (!words.starts_with(kPid)) return false;
  pid_t pid = 0;
  const auto parsed = std::from_chars(words.data() + kPid.size(), words.data() + words.size(), pid);
  return parsed.ec == std::errc() && ::kill(pid, 0) != 0 && errno == ESRCH;
}

// `again`: processes that have gone since the first start are left out.
Result<ProtectedList> protected_of(const MountOptions& options, bool again) {
  ProtectedList list = ProtectedList::own();
  list.devices = !options.act_on_devices;
  const auto add = [&](std::string_view words) -> Result<void> {
    return again && names_gone(words) ? Result<void>() : list.add(words);
  };
  for (const std::string& words : options.protect) {
    if (auto added = add(words); !added) return tl::unexpected(added.error());
  }
  if (!options.config.empty()) {
    if (auto added = read_protected_of_file(options.config, add); !added) {
      return tl::unexpected(added.error());
    }
  }
  return list;
}

// The tree and the files it is opened with.
void set_up(Tree& tree, const MountOptions& options) {
  const std::lock_guard lock(tree.mutex());
  auto owner = tree.root().owner(-1);
  owner.mode = options.mode;
  tree.root().set_owner(-1, owner);
  tree.set_free_bytes([] { return free_memory(Paths()); });
}

// Asks the tree by way of the kernel, as users do. What stands in front of it, or is not ours to
// see, says nothing against it.
bool is_served(const std::string& mount_point) {
  const auto read = read_whole(mount_point + "/kernel/mm/damon/admin/kdamonds/nr_kdamonds");
  return read || (read.error().code != ENOTCONN && read.error().code != ECONNABORTED);
}

// What a daemon has from the one before it, and for the one after it.
struct Legacy {
  std::optional<KeptDescriptors> inherited;
  bool keep = false;
  Fd keeper;  // who holds it meanwhile; invalid: nobody, or the service manager
};

// What the daemon before left, read.
struct Left {
  std::unique_ptr<KeptRequests> requests;
  KeptTexts texts;
  FuseMount mounted;
  std::string files;
  std::string contexts;
};

Result<Left> read_left(KeptDescriptors&& descriptors) {
  pollfd poll{descriptors.device.get(), 0, 0};
  if (::poll(&poll, 1, 0) > 0 && (poll.revents & POLLERR) != 0) {
    return fail(ENOTCONN, "the mount that was kept is gone");
  }
  auto requests = KeptRequests::open(std::move(descriptors.requests));
  if (!requests) return tl::unexpected(requests.error());
  KeptTexts texts(std::move(descriptors.texts));
  const auto mount = texts.get(KeptTexts::mount);
  if (!mount) return tl::unexpected(mount.error());
  auto files = texts.get(KeptTexts::files);
  if (!files) return tl::unexpected(files.error());
  auto contexts = texts.get(KeptTexts::contexts);
  if (!contexts) return tl::unexpected(contexts.error());
  const size_t blank = mount->find(' ');
  if (blank == std::string::npos || files->empty()) return fail(EPROTO, "no state was kept");
  FuseMount mounted{std::move(descriptors.device), 0, mount->substr(blank + 1)};
  std::from_chars(mount->data(), mount->data() + blank, mounted.device);
  return Left{*std::move(requests), std::move(texts), std::move(mounted), *std::move(files),
              *std::move(contexts)};
}

// One run of the daemon: what is made on the way to a tree that is served, in this order, goes in
// the other.
class Serving {
 public:
  Serving(const MountOptions& options, bool keep) : options_(options), keep_(keep) {}

  // Serves the tree as it was left, or a new one.
  Result<void> begin(Legacy legacy, StopSignals& signals, int life);
  [[nodiscard]] Session& session() const { return *session_; }
  [[nodiscard]] const std::string& description() const { return made_.description; }
  // What the user is to know of the configuration.
  [[nodiscard]] const std::vector<std::string>& notes() const { return notes_; }
  // The mount has gone, and nobody is to have it any more.
  void end() const {
    if (requests_ && keeps_descriptors()) forget_descriptors();
  }

 private:
  Result<void> make_tree();
  Result<void> make_session();
  Result<void> keep(const Fd& keeper);
  void replace();
  void take_left(KeptDescriptors&& descriptors);

  const MountOptions& options_;
  const bool keep_;
  const std::string program_ = own_program();
  std::vector<std::string> notes_;
  std::optional<Left> left_;
  ServedMachine made_;
  std::shared_ptr<TracePipe> trace_ = std::make_shared<TracePipe>();
  std::unique_ptr<Tree> tree_ = std::make_unique<Tree>();
  std::optional<MetricsExporter> metrics_;
  std::unique_ptr<Followers> followers_;    // ends before the tree does
  std::unique_ptr<KeptRequests> requests_;  // null: nothing is kept
  std::unique_ptr<StateKeeper> state_;
  std::unique_ptr<Session> session_;
  Watchdog watchdog_;
};

// What cannot be taken over is given up, and its mount ends as this returns: better a new tree than
// none.
void Serving::take_left(KeptDescriptors&& descriptors) {
  auto left = read_left(std::move(descriptors));
  if (left) {
    left_ = *std::move(left);
  } else {
    spdlog::warn("the tree is a new one: {}", left.error().message);
  }
}

Result<void> Serving::make_tree() {
  const auto protect = protected_of(options_, left_.has_value());
  if (!protect) return tl::unexpected(protect.error());
  auto made = make_machine({.backend = options_.backend,
                            .seed = options_.seed,
                            .dry_run = options_.dry_run,
                            .sweep_bp = basis_points(options_.sweep),
                            .protect = *protect});
  if (!made) return tl::unexpected(made.error());
  made_ = *std::move(made);
  Machine machine = made_.machine;
  machine.trace = trace_.get();
  if (left_) {
    if (auto skipped = skip_inodes(*tree_, left_->files); !skipped) return skipped;
  }
  set_up(*tree_, options_);
  add_damon_tree(*tree_, machine);
  add_modules(*tree_, machine);
  add_tracing(*tree_, trace_);
  followers_ = std::make_unique<Followers>(*tree_, Paths{});
  add_damonfs_directory(*tree_, machine, followers_.get());
  add_pinned_targets(*tree_);
  metrics_.emplace(MetricsOptions{options_.metrics_file, options_.metrics_listen,
                                  std::chrono::nanoseconds(options_.metrics_period_ns)},
                   MetricsSource{tree_.get(), machine.backend, machine.dry_run, procfs_reader()});
  if (auto listening = metrics_->listen(); !listening) return listening;
  if (left_) return restore(*tree_, left_->files, left_->contexts);
  return {};
}

Result<void> Serving::make_session() {
  std::vector<std::shared_ptr<Directory>> known;  // to the kernel
  if (left_) {
    auto restored = restore_inodes(*tree_, left_->files);
    if (!restored) return tl::unexpected(restored.error());
    known = *std::move(restored);
    requests_ = std::move(left_->requests);
    state_ = std::make_unique<StateKeeper>(*tree_, std::move(left_->texts));
    // Before the first answer: the kernel learns numbers of directories from answers, and the next
    // daemon has to know them.
    state_->save_all();
  } else if (keep_) {
    auto requests = KeptRequests::make();
    if (!requests) return tl::unexpected(requests.error());
    auto texts = KeptTexts::make();
    if (!texts) return tl::unexpected(texts.error());
    requests_ = *std::move(requests);
    state_ = std::make_unique<StateKeeper>(*tree_, *std::move(texts));
  }
  Keeping keeping;
  if (requests_) keeping = {requests_.get(), [state = state_.get()] { state->files_changed(); }};
  auto session =
      left_ ? Session::resume(*tree_, std::move(left_->mounted), std::move(keeping), known)
            : Session::mount(*tree_, options_.mount_point, options_.nonempty, std::move(keeping));
  if (!session) return tl::unexpected(session.error());
  session_ = *std::move(session);
  return left_ ? Result<void>() : configure(*tree_, options_, notes_);
}

Result<void> Serving::keep(const Fd& keeper) {
  if (!requests_) return {};
  const FuseMount& mounted = session_->mounted();
  const Fd& texts = state_->texts().memory();
  auto kept = state_->texts().put(KeptTexts::mount,
                                  fmt::format("{} {}", mounted.device, mounted.mount_point));
  if (kept && !left_) state_->save_all();
  if (kept) kept = state_->start();
  if (kept) kept = hand_to_keeper(keeper, mounted.device_fd, requests_->memory(), texts);
  // What was left is in the store still.
  if (kept && keeps_descriptors() && !left_) {
    forget_descriptors();  // that could not be gone on with
    store_descriptors({mounted.device_fd.get(), requests_->memory().get(), texts.get()});
  }
  return kept;
}

void Serving::replace() {
  if (!requests_) {
    spdlog::warn("not replaced: only a daemon with --keep can be");
    return;
  }
  spdlog::info("replaced by the program that is installed now");
  state_->save_all();
  const Error error = replace_program(program_, session_->mounted().device_fd, requests_->memory(),
                                      state_->texts().memory());
  spdlog::error("not replaced: {}", error.message);
}

Result<void> Serving::begin(Legacy legacy, StopSignals& signals, int life) {
  if (legacy.inherited && keep_) take_left(*std::move(legacy.inherited));
  legacy.inherited.reset();
  if (auto made = make_tree(); !made) return made;
  auto ready = make_session();
  if (ready) ready = keep(legacy.keeper);
  const auto stop = [this] {
    spdlog::info("asked to end");
    session_->stop();
  };
  const bool hangup_ends = options_.foreground && ::isatty(STDERR_FILENO) == 1;
  if (ready) {
    ready = signals.watch({.stop = stop,
                           .reopen = reopen_log,
                           .replace = [this] { replace(); },
                           .hangup_ends = hangup_ends});
  }
  if (ready && life >= 0) ready = end_with(life);
  if (ready) ready = metrics_->start();
  if (ready) {
    ready = watchdog_.start([path = session_->mount_point()] { return is_served(path); });
  }
  if (!ready && session_) session_->stop();
  return ready;
}

int serve(const MountOptions& options, StartReport report, Legacy legacy, int life = -1) {
  // What one thread frees another one uses again: thousands of regions are built by whichever
  // thread serves the command, and would else stay behind in the arena of each.
  ::mallopt(M_ARENA_MAX, 1);
  Serving serving(options, legacy.keep);
  StopSignals signals;            // goes first: nothing is called any more then
  std::signal(SIGXFSZ, SIG_IGN);  // a write to a log that is too long fails, and no more
  if (auto log = start_log(options); !log) return report.failed(log.error());
  Result<void> ready;
  if (options.lock_memory) ready = lock_memory();
  if (ready) ready = serving.begin(std::move(legacy), signals, life);
  if (!ready) {
    const bool log_is_elsewhere = !options.foreground || !options.log_file.empty();
    if (log_is_elsewhere) spdlog::error("{}", ready.error().message);
    return report.failed(ready.error());
  }
  Session& session = serving.session();
  spdlog::info("{}: serving; {}", session.mount_point(), serving.description());
  for (const std::string& note : serving.notes()) spdlog::warn("{}", note);
  report.ready(session.mount_point(), serving.notes());
  session.wait();
  serving.end();
  notify_service_manager("STOPPING=1");
  spdlog::info("{}: ended", session.mount_point());
  return 0;
}

// With a keeper beside it, if one is wanted and the service manager is none.
int serve_kept(const MountOptions& options, StartReport report, Legacy legacy) {
  if (!legacy.keep || legacy.inherited || keeps_descriptors()) {
    return serve(options, std::move(report), std::move(legacy));
  }
  std::optional<StartReport> held = std::move(report);
  const auto serve_here = [&](Fd keeper) {
    return serve(options, *std::move(held), {std::nullopt, true, std::move(keeper)});
  };
  const auto let_go = [&] {
    held.reset();
    if (!options.foreground) leave_terminal();
  };
  const auto mount_point = resolve_mount_point(options.mount_point);
  const int status = run_keeper(serve_here, let_go);
  // The keeper has let go of its end: a mount whose daemon was killed is of no use from now on.
  if (mount_point && ask_daemon(*mount_point) == DaemonState::dead) {
    if (const auto gone = unmount_damonfs(*mount_point); !gone) complain(gone.error().message);
  }
  return status;
}

int start_mount(const MountOptions& options, bool keep) {
  if (auto may = check_may_mount(); !may) return complain(may.error().message);
  std::optional<KeptDescriptors> inherited = KeptDescriptors::inherited();
  std::vector<int> kept;
  if (inherited) {
    kept = {inherited->device.get(), inherited->requests.get(), inherited->texts.get()};
  }
  keep_only(kept);
  const bool resumes = inherited.has_value();
  Legacy legacy{std::move(inherited), keep, {}};
  if (resumes || options.foreground) return serve_kept(options, StartReport(), std::move(legacy));
  Pipe pipe;
  if (!pipe.read.valid()) return complain(strerror(errno));
  // Before there are threads: a child has none but the one that forked.
  const pid_t child = ::fork();
  if (child < 0) return complain(strerror(errno));
  if (child > 0) {
    pipe.write = Fd();
    return wait_for_start(pipe.read);
  }
  pipe.read = Fd();
  ::setsid();
  return serve_kept(options, StartReport(std::move(pipe.write)), std::move(legacy));
}

}  // namespace

void StartReport::ready(const std::string& mount_point, std::span<const std::string> notes) {
  notify_service_manager("READY=1\nSTATUS=Serving " + mount_point);
  if (!pipe_.valid()) return;
  leave_terminal();
  const std::string text = kReady + fmt::format("{}", fmt::join(notes, "\n"));
  if (::write(pipe_.get(), text.data(), text.size()) < 0)
    spdlog::debug("nobody waited for the start");
  pipe_ = Fd();
}

int StartReport::failed(const Error& error) {
  if (!pipe_.valid()) return complain(error.message);
  const std::string text = kFailed + error.message;
  if (::write(pipe_.get(), text.data(), text.size()) < 0)
    spdlog::debug("nobody waited for the start");
  return 1;
}

int wait_for_start(const Fd& pipe) {
  std::string text;
  std::array<char, 1024> part{};
  ssize_t size = 0;
  while ((size = ::read(pipe.get(), part.data(), part.size())) != 0) {
    if (size < 0 && errno != EINTR) break;
    if (size > 0) text.append(part.data(), static_cast<size_t>(size));
  }
  if (text.starts_with(kReady)) {
    std::istringstream notes(text.substr(1));
    for (std::string note; std::getline(notes, note);) complain(note);
    return 0;
  }
  if (text.starts_with(kFailed)) return complain(text.substr(1));
  return complain("the daemon died while it was starting");
}

int start_daemon(const MountOptions& options, const Fd& life) {
  Pipe pipe;
  if (!pipe.read.valid()) return complain(strerror(errno));
  const pid_t child = ::fork();
  if (child < 0) return complain(strerror(errno));
  if (child == 0) {
    ::setsid();
    if (::fork() != 0) ::_exit(0);  // a child that fails to fork is a daemon that died
    pipe.read = Fd();
    keep_only({pipe.write.get(), life.get()});
    ::_exit(serve(options, StartReport(std::move(pipe.write)), {}, life.get()));
  }
  ::waitpid(child, nullptr, 0);
  pipe.write = Fd();
  return wait_for_start(pipe.read);
}

int run_kept_mount(const MountOptions& options) { return start_mount(options, true); }
int run_mount(const MountOptions& options) { return start_mount(options, false); }

}  // namespace damonfs
