// The address space of a held process, in the form that a page walk takes it.
#pragma once

#include <chrono>

#include "core/base/fd.h"
#include "core/base/result.h"
#include "ops/procfs/process.h"

namespace damonfs {

// A descriptor that keeps the memory description (mm_struct) of one process, and what was done to
// its accessed bits as a whole. Owned by one AccessedBitClearer, same thread. The description may
// outlive the process, or be left behind by exec(); the walk tells. Invariant: the process is not
// another one, whatever its number is.
class AddressSpace {
 public:
  using Clock = std::chrono::steady_clock;

  // `process` must outlive it.
  explicit AddressSpace(const Process& process) : process_(&process) {}

  [[nodiscard]] const Process& process() const { return *process_; }
  // The descriptor, for the calling thread; -1 if there is none.
  [[nodiscard]] int fd() const { return space_.get(); }

  // Takes the address space that the process has now. Where that is not possible (gone, a zombie,
  // not permitted) there is none, and it is tried again only a while later.
  Result<> take(Clock::time_point now);
  // Whether it was taken so long ago that it should be taken again: a process that shares its
  // memory with another one (vfork) gets its own at exec() and the old one lives on.
  [[nodiscard]] bool stale(Clock::time_point now) const { return now - taken_at_ > kStaleAfter; }
  // Whether taking it again at once makes sense when the one that is held turned out dead.
  [[nodiscard]] bool may_take(Clock::time_point now) const {
    return space_.valid() || now - taken_at_ > kRetryAfter;
  }

  // Clears the accessed bits of all its pages, by /proc/PID/clear_refs. The process cannot fault
  // pages in meanwhile. Does not flush the processor's TLB, nor change the pages' place in LRU
  // lists. Errors as of open() and write().
  Result<> clear_all(Clock::time_point now);
  // When it last began to be cleared as a whole; the clock's beginning when never.
  [[nodiscard]] Clock::time_point cleared_at() const { return cleared_at_; }

  Clock::time_point last_used;  // kept by the owner

 private:
  static constexpr std::chrono::seconds kStaleAfter{1};
  static constexpr std::chrono::milliseconds kRetryAfter{100};

  const Process* process_;
  Fd space_;
  Clock::time_point taken_at_;
  Clock::time_point cleared_at_;
};

}  // namespace damonfs
