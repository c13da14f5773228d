#include "fs/command/child.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>

#include "fs/command/exec_program.h"
#include "fs/command/failures.h"

namespace damonfs {

namespace {

constexpr std::array<int, 3> kEndSignals = {SIGINT, SIGTERM, SIGHUP};
constexpr int kTreeSeconds = 60;     // for the tree to appear; emulated machines are slow
constexpr double kStopSeconds = 10;  // for a daemon to unmount

volatile std::sig_atomic_t received_signal = 0;
int signal_event = -1;
std::array<struct sigaction, kEndSignals.size()> old_actions;
struct sigaction old_pipe_action;

void on_end_signal(int signal) {
  const int saved = errno;
  if (received_signal == 0) received_signal = signal;
  const uint64_t one = 1;
  // A counter that is full is readable all the same.
  [[maybe_unused]] const ssize_t written = ::write(signal_event, &one, sizeof(one));
  errno = saved;
}

int pidfd_open(pid_t pid) { return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)); }

// This very program, by its own name where it still has it.
std::string own_path() {
  std::error_code error;
  const auto path = std::filesystem::read_symlink("/proc/self/exe", error);
  return !error && std::filesystem::exists(path, error) ? path.string() : "/proc/self/exe";
}

// What happens in the child between fork and exec; reports to `complaints` why there was none.
[[noreturn]] void run_child(const std::vector<std::string>& argv, const Child::Options& options,
                            pid_t parent, int complaints) {
  for (const int signal : kEndSignals) ::signal(signal, SIG_DFL);
  ::signal(SIGPIPE, SIG_DFL);
  if (options.own_group) ::setpgid(0, 0);
  if (options.ends_with_us) {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != parent) ::_exit(0);  // it ended before we said so
  }
  const int out = ::fcntl(options.out, F_DUPFD_CLOEXEC, 3);
  const int err = ::fcntl(options.err, F_DUPFD_CLOEXEC, 3);
  if (out >= 0) ::dup2(out, STDOUT_FILENO);
  if (err >= 0) ::dup2(err, STDERR_FILENO);
  const int code = exec_program(argv[0], argv);
  [[maybe_unused]] const ssize_t written = ::write(complaints, &code, sizeof(code));
  ::_exit(127);
}

}  // namespace

EndSignals::EndSignals() {
  received_signal = 0;
  signal_event = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  struct sigaction action = {};
  action.sa_handler = on_end_signal;  // no SA_RESTART: a wait must end
  for (size_t i = 0; i < kEndSignals.size(); ++i) {
    ::sigaction(kEndSignals[i], &action, &old_actions[i]);
  }
  // A reader of ours that ends is seen as a failed write, not as death.
  action.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &action, &old_pipe_action);
}

EndSignals::~EndSignals() {
  for (size_t i = 0; i < kEndSignals.size(); ++i) {
    ::sigaction(kEndSignals[i], &old_actions[i], nullptr);
  }
  ::sigaction(SIGPIPE, &old_pipe_action, nullptr);
  ::close(std::exchange(signal_event, -1));
}

int EndSignals::fd() const { return signal_event; }

int EndSignals::received() { return received_signal; }

Result<Child> Child::start(const std::vector<std::string>& argv, const Options& options) {
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) return failed("cannot make a pipe");
  const Fd read_end(pipe[0]);
  Fd write_end(pipe[1]);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return failed("cannot fork");
  if (pid == 0) run_child(argv, options, parent, write_end.get());
  write_end = Fd();
  Child child(pid, Fd(pidfd_open(pid)));
  int code = 0;
  ssize_t size = 0;
  // An end of file tells that exec has closed the other end.
  while ((size = ::read(read_end.get(), &code, sizeof(code))) < 0 && errno == EINTR) {
  }
  if (size == sizeof(code)) return fail(code, "cannot run {}: {}", argv[0], strerror(code));
  return child;
}

Child::Child(Child&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      pidfd_(std::move(other.pidfd_)),
      status_(other.status_) {}

Child::~Child() {
  if (pid_ > 0) wait();
}

bool Child::ended() const { return status_ || wait_readable({pidfd()}, 0).has_value(); }

void Child::send(int signal) const {
  if (!status_) ::kill(pid_, signal);  // not reaped, so the number is still its own
}

int Child::wait() {
  if (status_) return *status_;
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  status_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return *status_;
}

int Child::stop(double seconds) {
  send(SIGTERM);
  if (!wait_readable({pidfd()}, seconds)) send(SIGKILL);
  return wait();
}

Result<PrivateDaemon> PrivateDaemon::start(const std::string& backend, const EndSignals& signals) {
  const char* tmp = std::getenv("TMPDIR");
  std::string mount = std::string(tmp && *tmp ? tmp : "/tmp") + "/damonfs-watch.XXXXXX";
  Fd log(::memfd_create("damonfs-watch-log", MFD_CLOEXEC));
  if (!log.valid()) return failed("cannot keep the daemon's log");
  if (!::mkdtemp(mount.data())) return failed("cannot make " + mount);
  PrivateDaemon daemon(mount, std::move(log));
  std::vector<std::string> argv = {own_path(), "mount", daemon.mount_, "--foreground"};
  if (!backend.empty()) argv.insert(argv.end(), {"--backend", backend});
  auto child = Child::start(argv, {.out = daemon.log_.get(),
                                   .err = daemon.log_.get(),
                                   .own_group = true,
                                   .ends_with_us = true});
  if (!child) return tl::unexpected(child.error());
  daemon.child_.emplace(*std::move(child));
  if (auto there = daemon.wait_for_tree(signals); !there) return tl::unexpected(there.error());
  return daemon;
}

Result<void> PrivateDaemon::wait_for_tree(const EndSignals& signals) const {
  const std::string tree = mount_ + "/kernel/mm/damon/admin/kdamonds/nr_kdamonds";
  constexpr int kTriesASecond = 100;
  for (int tries = 0; tries < kTreeSeconds * kTriesASecond; ++tries) {
    if (::access(tree.c_str(), F_OK) == 0) return {};
    const auto readable = wait_readable({signals.fd(), child_->pidfd()}, 1.0 / kTriesASecond);
    if (!readable) continue;
    if (*readable == 0) return fail(EINTR, "interrupted");
    return fail(EIO, "the daemon did not start:\n{}", log());
  }
  return fail(ETIMEDOUT, "the daemon's tree is not there after {} s:\n{}", kTreeSeconds, log());
}

PrivateDaemon::PrivateDaemon(PrivateDaemon&& other) noexcept
    : mount_(std::exchange(other.mount_, {})),
      log_(std::move(other.log_)),
      child_(std::move(other.child_)) {}

PrivateDaemon::~PrivateDaemon() {
  if (mount_.empty()) return;
  if (child_) child_->stop(kStopSeconds);
  if (::rmdir(mount_.c_str()) != 0 && errno == EBUSY) {
    // It was killed before it could unmount.
    ::umount2(mount_.c_str(), MNT_DETACH);
    ::rmdir(mount_.c_str());
  }
}

std::string PrivateDaemon::log() const {
  std::string text;
  std::array<char, 4096> piece;
  ssize_t size = 0;
  while ((size = ::pread(log_.get(), piece.data(), piece.size(), static_cast<off_t>(text.size()))) >
         0) {
    text.append(piece.data(), static_cast<size_t>(size));
  }
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

std::optional<size_t> wait_readable(const std::vector<int>& fds, double seconds) {
  using std::chrono::steady_clock;
  const auto deadline = steady_clock::now() + std::chrono::duration<double>(std::max(seconds, 0.0));
  std::vector<pollfd> polled;
  polled.reserve(fds.size());
  for (const int fd : fds) polled.push_back({fd, POLLIN, 0});
  while (true) {
    const std::chrono::duration<double, std::milli> left = deadline - steady_clock::now();
    const int timeout = static_cast<int>(std::clamp(std::ceil(left.count()), 0.0, 1e9));
    const int ready = ::poll(polled.data(), polled.size(), timeout);
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0 || (ready == 0 && steady_clock::now() >= deadline)) return std::nullopt;
    for (size_t i = 0; i < polled.size(); ++i) {
      if (polled[i].revents != 0) return i;
    }
  }
}

}  // namespace damonfs
