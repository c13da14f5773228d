// The address space of a held process, in the form that a page walk takes it.
#pragma once

#include <chrono>

#include "core/base/fd.h"
#include "core/base/result.h"
#include "ops/procfs/process.h"

namespace damonfs {

// What clear_refs clears at once: pages of mappings without a file, or of those with one, shared
// memory among them.
enum class ClearKind : char { anon = '2', file = '3' };

// Which kinds may be cleared. A value.
struct ClearPlan {
  bool anon = false;
  bool file = false;

  [[nodiscard]] bool any() const { return anon || file; }
  [[nodiscard]] bool all() const { return anon && file; }
  [[nodiscard]] ClearPlan operator&(const ClearPlan& other) const {
    return {.anon = anon && other.anon, .file = file && other.file};
  }
  friend bool operator==(const ClearPlan&, const ClearPlan&) = default;
};

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

  [[nodiscard]] bool fd_valid() const { return space_.valid(); }

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

  // Which kinds have at most `max_pages` resident pages: clear_refs holds the process's memory map,
  // for writing, until it has walked all of a kind. They are counted anew where that was done
  // before longer than `max_age`.
  ClearPlan plan(Clock::time_point now, uint64_t max_pages,
                 std::chrono::milliseconds max_age = std::chrono::seconds(1));

  // Clears the accessed bits of all pages of `kind`, which is in the plan. Returns how many pages
  // that were, about. The process cannot map or unmap meanwhile, nor on older kernels fault pages
  // in. Does not flush the processor's TLB, nor change the pages' place in LRU lists. Errors as of
  // open() and write().
  [[nodiscard]] Result<uint64_t> clear(ClearKind kind) const;
  // These kinds began to be cleared at `now`.
  void note_cleared(Clock::time_point now, const ClearPlan& kinds) {
    if (kinds == plan_) cleared_at_ = now;
  }
  // When all kinds in the plan last began to be cleared; the clock's beginning when never.
  [[nodiscard]] Clock::time_point cleared_at() const { return cleared_at_; }

  Clock::time_point last_used;  // kept by the owner

 private:
  static constexpr std::chrono::seconds kStaleAfter{1};
  static constexpr std::chrono::milliseconds kRetryAfter{100};

  const Process* process_;
  Fd space_;
  Clock::time_point taken_at_;
  Clock::time_point cleared_at_;
  Clock::time_point planned_at_;
  ClearPlan plan_;
  uint64_t anon_pages_ = 0;  // as of planned_at_
  uint64_t file_pages_ = 0;
};

}  // namespace damonfs
