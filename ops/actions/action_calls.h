// The system calls that act on other processes' memory.
#pragma once

#include <sys/mman.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <cstdint>
#include <span>

namespace damonfs {

#ifndef MADV_COLLAPSE
inline constexpr int MADV_COLLAPSE = 25;  // since 6.1; older C libraries do not know it
#endif

// What actions are done with. The methods are the calls themselves but for errors, which come back
// as negative errnos; tests put others in their place. Stateless, any thread.
class ActionCalls {
 public:
  virtual ~ActionCalls() = default;

  // process_madvise(2): bytes advised of `ranges`, in order, up to the first one that fails.
  virtual int64_t advise(int pidfd, std::span<const iovec> ranges, int advice);

  // move_pages(2) with `nodes` where each page shall go, all of a page's users included
  // (MPOL_MF_MOVE_ALL); without any, only asks. Fills `status` with each page's node or negative
  // errno.
  virtual int64_t move_pages(pid_t pid, std::span<void*> pages, const int* nodes,
                             std::span<int> status);

  // process_vm_readv(2) of `bytes`, one each, whose content is given up: how many were read, in
  // order, up to the first that cannot be. The kernel marks a page that is read so as accessed
  // (in its LRU list, not in its page table).
  virtual int64_t touch(pid_t pid, std::span<const iovec> bytes);
};

}  // namespace damonfs
