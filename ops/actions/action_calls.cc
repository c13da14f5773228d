#include "ops/actions/action_calls.h"

#include <linux/mempolicy.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

namespace damonfs {

int64_t ActionCalls::advise(int pidfd, std::span<const iovec> ranges, int advice) {
  const long done = ::syscall(SYS_process_madvise, pidfd, ranges.data(), ranges.size(), advice, 0);
  return done < 0 ? -errno : done;
}

int64_t ActionCalls::move_pages(pid_t pid, std::span<void*> pages, const int* nodes,
                                std::span<int> status) {
  const int flags = nodes != nullptr ? MPOL_MF_MOVE_ALL : MPOL_MF_MOVE;
  const long left =
      ::syscall(SYS_move_pages, pid, pages.size(), pages.data(), nodes, status.data(), flags);
  return left < 0 ? -errno : left;
}

int64_t ActionCalls::touch(pid_t pid, std::span<const iovec> bytes) {
  std::vector<char> content(bytes.size());
  const iovec local{content.data(), content.size()};
  const ssize_t read = ::process_vm_readv(pid, &local, 1, bytes.data(), bytes.size(), 0);
  return read < 0 ? -errno : read;
}

}  // namespace damonfs
