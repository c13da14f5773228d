#include "fs/daemon/background.h"

#include <fcntl.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <stop_token>

#include "core/base/failed.h"
#include "core/base/fd.h"
#include "core/base/thread.h"

namespace damonfs {

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

void keep_only(std::vector<int> kept) {
  std::ranges::sort(kept);
  int low = STDERR_FILENO + 1;
  for (const int fd : kept) {
    if (fd < low) continue;
    if (fd > low) ::close_range(low, fd - 1, 0);
    low = fd + 1;
  }
  ::close_range(low, ~0U, 0);
}

void leave_terminal() {
  const Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(null.get(), fd);
  if (::chdir("/") != 0) spdlog::warn("cannot leave the working directory: {}", strerror(errno));
}

Result<void> lock_memory() {
  if (::mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0) return {};
  return failed("cannot lock the daemon's memory (CAP_IPC_LOCK)");
}

}  // namespace damonfs
