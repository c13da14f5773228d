#include "fs/command/daemon_state.h"

#include <fcntl.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>

#include "core/base/fd.h"
#include "fs/command/child.h"

namespace damonfs {

namespace {

constexpr std::chrono::duration<double> kPatience = std::chrono::seconds(2);

// What an answer is told by.
constexpr char kAnswers = 'a';
constexpr char kDead = 'd';

// In a process that has nothing to do with us any more, and keeps nothing of ours.
[[noreturn]] void ask(const char* mount_point, int answer) {
  if (answer > 0) ::close_range(0, static_cast<unsigned>(answer - 1), 0);
  ::close_range(static_cast<unsigned>(answer + 1), ~0U, 0);
  struct statfs fs {};
  const bool dead = ::statfs(mount_point, &fs) != 0 && (errno == ENOTCONN || errno == ECONNABORTED);
  const char told = dead ? kDead : kAnswers;
  [[maybe_unused]] const ssize_t written = ::write(answer, &told, 1);
  ::_exit(0);
}

// Where the answer will come; invalid when no process is to be had. Only calls that are allowed in
// a process which had threads.
Fd start_asking(const std::string& mount_point) {
  std::array<int, 2> ends{-1, -1};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return {};
  Fd answer(ends[0]);
  const Fd written(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) return {};
  if (child == 0) {
    if (::fork() == 0) ask(mount_point.c_str(), written.get());
    ::_exit(0);
  }
  while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) continue;
  return answer;
}

DaemonState state_from(const Fd& answer, double seconds) {
  char told = 0;
  if (!answer.valid() || !wait_readable({answer.get()}, seconds)) return DaemonState::silent;
  if (::read(answer.get(), &told, 1) != 1) return DaemonState::silent;
  return told == kDead ? DaemonState::dead : DaemonState::answers;
}

}  // namespace

DaemonState ask_daemon(const std::string& mount_point) {
  return state_from(start_asking(mount_point), kPatience.count());
}

Result<void> check_not_silent(const std::string& mount_point) {
  if (ask_daemon(mount_point) != DaemonState::silent) return {};
  return fail(ETIMEDOUT, "{}: nobody answers there; is the daemon stopped?", mount_point);
}

}  // namespace damonfs
