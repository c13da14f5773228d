// Giving a piece of advice on many ranges of another process's memory.
#pragma once

#include <set>
#include <span>

#include "core/ranges.h"
#include "ops/actions/action_calls.h"
#include "ops/base/warn_once.h"
#include "ops/procfs/process.h"

namespace damonfs {

// Calls process_madvise(2) on a held process, many ranges a call, and gets past those that fail.
// Owned by one VaddrActions, same thread.
class Adviser {
 public:
  explicit Adviser(ActionCalls& calls) : calls_(calls) {}

  // Advises `ranges`, which are page aligned and lie within one of `mappings` each. Returns those
  // that the kernel took. A range that fails is left out and the rest goes on: EAGAIN and EINTR
  // after a few tries, EINVAL (locked, hugetlb or device memory, for MADV_COLD and MADV_PAGEOUT)
  // with all of its mapping, ENOMEM (unmapped meanwhile, or no memory) and others. EPERM, or an
  // advice that the kernel does not take for other processes, ends it. Each errno is warned of once
  // but EINVAL, EAGAIN, EINTR; a process that has gone (ESRCH) is no error.
  RangeList advise(const Process& process, int advice, std::span<const AddrRange> ranges,
                   std::span<const AddrRange> mappings);

 private:
  enum class Failure { again, skip_range, skip_mapping, end };
  Failure judge(const Process& process, int advice, int error);

  // Whether the kernel takes `advice` for other processes at all.
  bool takes(const Process& process, int advice);

  ActionCalls& calls_;
  std::set<int> taken_;  // pieces of advice that it is known to take
  WarnOnce warn_;
};

// "MADV_COLD" and the like, for log lines.
[[nodiscard]] const char* advice_name(int advice);

}  // namespace damonfs
