#include "fs/daemon/daemon.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <spdlog/spdlog.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <sstream>
#include <string>
#include <vector>

#include "core/base/guarded.h"
#include "core/base/read_whole.h"
#include "core/base/thread.h"
#include "fs/command/failures.h"
#include "fs/command/privileges.h"
#include "fs/config/config.h"
#include "fs/daemon/log.h"
#include "fs/daemon/service_manager.h"
#include "fs/damon/admin_directory.h"
#include "fs/damon/pinned_targets.h"
#include "fs/damonfs/damonfs_directory.h"
#include "fs/fuse/session.h"
#include "fs/modules/module_files.h"
#include "fs/tracing/trace_pipe.h"
#include "ops/procfs/free_memory.h"
#include "ops/real_machine.h"

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

Result<ProtectedList> protected_of(const MountOptions& options) {
  ProtectedList list = ProtectedList::own();
  list.devices = !options.act_on_devices;
  const auto add = [&](std::string_view words) { return list.add(words); };
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

// Asks this process to end, as a signal from others would, once `life` is readable.
Result<void> end_with(int life) {
  auto thread = start_thread("damonfs-life", [life](const std::stop_token&) {
    pollfd poll{life, POLLIN, 0};
    while (::poll(&poll, 1, -1) < 0 && errno == EINTR) continue;
    ::kill(::getpid(), SIGTERM);
  });
  if (!thread) return tl::unexpected(thread.error());
  thread->detach();
  return {};
}

// Closes what a daemon has no use for, so that nobody waits for the end of a file of its own: all
// but the standard ones and `kept`, of which -1 is none.
void keep_only(std::array<int, 2> kept) {
  std::ranges::sort(kept);
  int low = STDERR_FILENO + 1;
  for (const int fd : kept) {
    if (fd < low) continue;
    if (fd > low) ::close_range(low, fd - 1, 0);
    low = fd + 1;
  }
  ::close_range(low, ~0U, 0);
}

// Keeps all of the daemon in memory from now on, so that it never waits for what it reclaims.
Result<void> lock_memory() {
  if (::mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0) return {};
  return failed("cannot lock the daemon's memory (CAP_IPC_LOCK)");
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

int serve(const MountOptions& options, StartReport report, int life = -1) {
  // What one thread frees another one uses again: thousands of regions are built by whichever
  // thread serves the command, and would else stay behind in the arena of each.
  ::mallopt(M_ARENA_MAX, 1);
  StopSignals signals;
  std::signal(SIGXFSZ, SIG_IGN);  // a write to a log that is too long fails, and no more
  if (auto log = start_log(options); !log) return report.failed(log.error());
  const auto failed = [&](const Error& error) {
    const bool log_is_elsewhere = !options.foreground || !options.log_file.empty();
    if (log_is_elsewhere) spdlog::error("{}", error.message);
    return report.failed(error);
  };
  if (options.lock_memory) {
    if (auto locked = lock_memory(); !locked) return failed(locked.error());
  }
  const auto protect = protected_of(options);
  if (!protect) return failed(protect.error());
  const auto made = make_machine({.backend = options.backend,
                                  .seed = options.seed,
                                  .dry_run = options.dry_run,
                                  .sweep_bp = basis_points(options.sweep),
                                  .protect = *protect});
  if (!made) return failed(made.error());
  const auto trace = std::make_shared<TracePipe>();
  Machine machine = made->machine;
  machine.trace = trace.get();
  Tree tree;
  set_up(tree, options);
  add_damon_tree(tree, machine);
  add_modules(tree, machine);
  add_tracing(tree, trace);
  add_damonfs_directory(tree, machine);
  add_pinned_targets(tree);
  const auto session = Session::mount(tree, options.mount_point, options.nonempty);
  if (!session) return failed(session.error());
  Watchdog watchdog;
  const auto stop = [&session] {
    spdlog::info("asked to end");
    (*session)->stop();
  };
  std::vector<std::string> notes;
  auto ready = configure(tree, options, notes);
  if (ready)
    ready = signals.watch({stop, reopen_log, options.foreground && ::isatty(STDERR_FILENO)});
  if (ready && life >= 0) ready = end_with(life);
  if (ready) ready = watchdog.start([path = (*session)->mount_point()] { return is_served(path); });
  if (!ready) {
    (*session)->stop();
    return failed(ready.error());
  }
  spdlog::info("{}: serving; {}", (*session)->mount_point(), made->description);
  for (const std::string& note : notes) spdlog::warn("{}", note);
  report.ready((*session)->mount_point(), notes);
  (*session)->wait();
  notify_service_manager("STOPPING=1");
  spdlog::info("{}: ended", (*session)->mount_point());
  return 0;
}

}  // namespace

void StartReport::ready(const std::string& mount_point, std::span<const std::string> notes) {
  notify_service_manager("READY=1\nSTATUS=Serving " + mount_point);
  if (!pipe_.valid()) return;
  const Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(null.get(), fd);
  if (::chdir("/") != 0) spdlog::warn("cannot leave the working directory: {}", strerror(errno));
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

StopSignals::StopSignals() {
  sigemptyset(&signals_);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals_, signal);
  pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

Result<void> StopSignals::watch(Actions actions) {
  auto thread = start_thread("damonfs-signals",
                             [this, actions = std::move(actions)](const std::stop_token& ended) {
                               int signal = 0;
                               while (true) {
                                 sigwait(&signals_, &signal);
                                 if (ended.stop_requested()) return;
                                 if (signal != SIGHUP || actions.hangup_ends) break;
                                 actions.reopen();
                               }
                               // A request to end is not lost for want of memory.
                               constexpr auto kPause = std::chrono::milliseconds(100);
                               while (!guarded(actions.stop)) std::this_thread::sleep_for(kPause);
                             });
  if (!thread) return tl::unexpected(thread.error());
  watcher_ = *std::move(thread);
  return {};
}

StopSignals::~StopSignals() {
  if (!watcher_.joinable()) return;
  watcher_.request_stop();
  pthread_kill(watcher_.native_handle(), SIGTERM);
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
    ::_exit(serve(options, StartReport(std::move(pipe.write)), life.get()));
  }
  ::waitpid(child, nullptr, 0);
  pipe.write = Fd();
  return wait_for_start(pipe.read);
}

int run_mount(const MountOptions& options) {
  if (auto may = check_may_mount(); !may) return complain(may.error().message);
  keep_only({-1, -1});
  if (options.foreground) return serve(options, StartReport());
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
  return serve(options, StartReport(std::move(pipe.write)));
}

}  // namespace damonfs
