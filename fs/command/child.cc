#include "fs/command/child.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstring>
#include <utility>

#include "fs/command/end_signals.h"
#include "fs/command/exec_program.h"
#include "fs/command/failures.h"

namespace damonfs {

namespace {

int pidfd_open(pid_t pid) { return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)); }

// What happens in the child between fork and exec; reports to `complaints` why there was none.
[[noreturn]] void run_child(const std::vector<std::string>& argv, const Child::Options& options,
                            pid_t parent, int complaints) {
  for (const int signal : EndSignals::kSignals) ::signal(signal, SIG_DFL);
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

int finish_command(Child& command, bool has_ended, std::string_view who) {
  if (has_ended) {
    const int status = command.wait();
    tell(who, fmt::format("the command has ended with status {}", status));
    return status;
  }
  if (!command.ended()) {
    tell(who, fmt::format("ending the command, process {}", command.pid()));
    command.stop(kCommandSeconds);
  }
  return 0;
}

int status_of_no_command(const Error& error) { return error.code == ENOENT ? 127 : 126; }

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
