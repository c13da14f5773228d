// Giving a piece of advice on many ranges of another process's memory.
#pragma once

#include <sys/uio.h>

#include <cerrno>
#include <functional>
#include <set>
#include <span>
#include <vector>

#include "core/base/page_size.h"
#include "core/base/result.h"
#include "core/ranges.h"
#include "ops/actions/action_calls.h"
#include "ops/base/warn_once.h"
#include "ops/procfs/process.h"

namespace damonfs {

// What stands for the errno where a call was not made because nobody knows how long it would wait
// for the process's memory map (Process::map_is_free()). No error of process_madvise(2).
inline constexpr int kMapNotFree = ETIMEDOUT;

// Says, once for each `warn`, that schemes leave the process alone for that.
void warn_map_not_free(WarnOnce& warn, const Process& process);

// Calls process_madvise(2) on a held process, many ranges a call, and gets past those that fail.
// Owned by one VaddrActions, same thread.
class Adviser {
 public:
  explicit Adviser(ActionCalls& calls) : calls_(calls) {}

  // Advises `ranges`, which are page aligned and lie within one of `mappings` each. Returns those
  // that the kernel took. A range that fails is left out and the rest goes on: EAGAIN and EINTR
  // after a few tries, EINVAL (locked, hugetlb or device memory, for MADV_COLD and MADV_PAGEOUT)
  // with all of its mapping, ENOMEM (unmapped meanwhile, or no memory) and others. An error
  // of the whole process (EPERM, say), or an advice that the kernel does not take for other
  // processes, ends it. Each errno is warned of once
  // but EINVAL, EAGAIN, EINTR; a process that has gone (ESRCH) is no error. A process whose memory
  // map is not free is left alone from there on.
  RangeList advise(const Process& process, int advice, std::span<const AddrRange> ranges,
                   std::span<const AddrRange> mappings);

 private:
  enum class Failure { skip_range, skip_mapping, end };
  Failure judge(const Process& process, int advice, int error);

  // Whether the kernel takes `advice` for other processes at all.
  bool takes(const Process& process, int advice);

  ActionCalls& calls_;
  std::set<int> taken_;  // pieces of advice that it is known to take
  WarnOnce warn_;
};

// Gives MADV_COLD to the pieces, in order, and returns how many bytes it got to before a piece was
// refused, as process_madvise() does; or the errno if that was the first.
using AdviseCall = std::function<Result<size_t>(std::span<const iovec> pieces)>;

// The call for the process behind `pidfd`. It must stay open while the call is used.
AdviseCall cold_advice_for(int pidfd);

// How the page tables map a piece: by an entry for each page, or by huge ones.
enum class Leaves : uint8_t { small, huge };
// Of entries that map 1 << shift bytes each.
inline Leaves leaves_of(unsigned shift) {
  return shift > kPageSize.shift() ? Leaves::huge : Leaves::small;
}

// What a backend makes pages old with: gives MADV_COLD to all `pieces` (page-aligned, not empty),
// as many at once as the kernel takes, and steps over those it refuses: locked, unmapped meanwhile,
// of a kind that cannot be aged. `leaves` are those of each piece; none given: all are small. A
// call is given what holds the process's memory map for about half a millisecond: 4,096 small pages
// at 0.1 us, or 64 huge ones, which may have become small ones meanwhile. `refused[i]` becomes
// whether that was so for pieces[i]; when many are refused the rest is not tried and counts as
// refused. The error is one that concerns the process, not a piece: EPERM, ESRCH, kMapNotFree.
Result<> advise_cold(std::span<const iovec> pieces, const AdviseCall& call,
                     std::vector<bool>& refused, std::span<const Leaves> leaves = {});

// "MADV_COLD" and the like, for log lines.
[[nodiscard]] const char* advice_name(int advice);

}  // namespace damonfs
