#include "fs/daemon/daemon.h"

#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/sinks/syslog_sink.h>
#include <spdlog/spdlog.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "fs/command/failures.h"
#include "fs/config/config.h"
#include "fs/damon/admin_directory.h"
#include "fs/damonfs/damonfs_directory.h"
#include "fs/fuse/session.h"
#include "fs/modules/module_files.h"
#include "fs/tracing/trace_pipe.h"
#include "ops/real_machine.h"

#ifdef DAMONFS_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

namespace damonfs {

namespace {

// What comes first in the pipe of StartReport; after `kFailed` the reason.
constexpr char kReady = 'r';
constexpr char kFailed = 'f';

void notify_service_manager([[maybe_unused]] const std::string& state) {
#ifdef DAMONFS_SYSTEMD
  sd_notify(0, state.c_str());
#endif
}

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
Result<void> configure(Tree& tree, const MountOptions& options) {
  if (options.config.empty()) return {};
  LocalTreeWriter writer(tree);
  return apply_config_file(options.config, writer);
}

Result<ProtectedList> protected_of(const MountOptions& options) {
  ProtectedList list = ProtectedList::own();
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
void end_with(int life) {
  std::thread([life] {
    pollfd poll{life, POLLIN, 0};
    while (::poll(&poll, 1, -1) < 0 && errno == EINTR) continue;
    ::kill(::getpid(), SIGTERM);
  }).detach();
}

// Closes what a daemon has no use for, so that nobody waits for the end of a file of its own.
void keep_only(int one, int other) {
  const auto [low, high] = std::minmax(one, other);
  ::close_range(STDERR_FILENO + 1, low - 1, 0);
  ::close_range(low + 1, high - 1, 0);
  ::close_range(high + 1, ~0U, 0);
}

int serve(const MountOptions& options, StartReport report, int life = -1) {
  // What one thread frees another one uses again: thousands of regions are built by whichever
  // thread serves the command, and would else stay behind in the arena of each.
  ::mallopt(M_ARENA_MAX, 1);
  StopSignals signals;
  if (auto log = start_log(options); !log) return report.failed(log.error());
  const auto failed = [&](const Error& error) {
    const bool log_is_elsewhere = !options.foreground || !options.log_file.empty();
    if (log_is_elsewhere) spdlog::error("{}", error.message);
    return report.failed(error);
  };
  const auto protect = protected_of(options);
  if (!protect) return failed(protect.error());
  const auto made = make_machine({.backend = options.backend,
                                  .seed = options.seed,
                                  .dry_run = options.dry_run,
                                  .protect = *protect});
  if (!made) return failed(made.error());
  const auto trace = std::make_shared<TraceHub>();
  Machine machine = made->machine;
  machine.trace = trace.get();
  Tree tree;
  add_damon_tree(tree, machine);
  add_modules(tree, machine);
  add_tracing(tree, trace);
  add_damonfs_directory(tree, machine);
  const auto session = Session::mount(tree, options.mount_point);
  if (!session) return failed(session.error());
  if (auto applied = configure(tree, options); !applied) {
    (*session)->stop();
    return failed(applied.error());
  }
  signals.watch([&session] {
    spdlog::info("asked to end");
    (*session)->stop();
  });
  if (life >= 0) end_with(life);
  spdlog::info("{}: serving; {}", (*session)->mount_point(), made->description);
  report.ready((*session)->mount_point());
  (*session)->wait();
  notify_service_manager("STOPPING=1");
  spdlog::info("{}: ended", (*session)->mount_point());
  return 0;
}

}  // namespace

void StartReport::ready(const std::string& mount_point) {
  notify_service_manager("READY=1\nSTATUS=Serving " + mount_point);
  if (!pipe_.valid()) return;
  const Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(null.get(), fd);
  if (::chdir("/") != 0) spdlog::warn("cannot leave the working directory: {}", strerror(errno));
  if (::write(pipe_.get(), &kReady, 1) != 1) spdlog::debug("nobody waited for the start");
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
  if (text.starts_with(kReady)) return 0;
  if (text.starts_with(kFailed)) return complain(text.substr(1));
  return complain("the daemon died while it was starting");
}

Result<void> start_log(const MountOptions& options) {
  try {
    spdlog::sink_ptr sink;
    if (!options.log_file.empty()) {
      sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(options.log_file);
    } else if (options.foreground) {
      sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    } else {
      sink = std::make_shared<spdlog::sinks::syslog_sink_mt>("damonfs", LOG_PID, LOG_DAEMON, true);
    }
    const auto logger = std::make_shared<spdlog::logger>("damonfs", std::move(sink));
    const bool to_syslog = options.log_file.empty() && !options.foreground;
    logger->set_pattern(to_syslog ? "%v" : "%Y-%m-%d %H:%M:%S.%e %l: %v");
    logger->set_level(spdlog::level::from_str(options.log_level));
    logger->flush_on(spdlog::level::trace);
    spdlog::set_default_logger(logger);
    return {};
  } catch (const spdlog::spdlog_ex& error) {
    return fail(EINVAL, "{}", error.what());
  }
}

StopSignals::StopSignals() {
  sigemptyset(&signals_);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals_, signal);
  pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

void StopSignals::watch(std::function<void()> stop) {
  watcher_ = std::jthread([this, stop = std::move(stop)](const std::stop_token& ended) {
    int signal = 0;
    sigwait(&signals_, &signal);
    if (!ended.stop_requested()) stop();
  });
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
    keep_only(pipe.write.get(), life.get());
    pipe.read = Fd();
    ::_exit(serve(options, StartReport(std::move(pipe.write)), life.get()));
  }
  ::waitpid(child, nullptr, 0);
  pipe.write = Fd();
  return wait_for_start(pipe.read);
}

int run_mount(const MountOptions& options) {
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
