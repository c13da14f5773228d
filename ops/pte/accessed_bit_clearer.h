// Making pages of processes old, that is: clearing their accessed bits, so that the next access
// shows. The kernel has no interface for just that; this is put together from three.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "core/base/clock.h"
#include "core/base/page_size.h"
#include "core/base/result.h"
#include "core/operations.h"
#include "ops/actions/advise.h"
#include "ops/base/cpu_budget.h"
#include "ops/base/warn_once.h"
#include "ops/procfs/paths.h"
#include "ops/pte/address_space.h"
#include "ops/pte/clear_estimate.h"
#include "ops/pte/page_walker.h"

namespace damonfs {

// One address that is asked about; `space` is nullptr where there is no process.
struct PageQuery {
  AddressSpace* space = nullptr;
  uint64_t addr = 0;
  uint64_t frame = 0;  // page frame that is meant; another one there is left alone. 0: any
};

// Whether the slot of `query` maps what is meant.
[[nodiscard]] inline bool maps(const pte_slot& slot, const PageQuery& query) {
  if ((slot.flags & PTE_MAPPED) == 0) return false;
  const uint64_t within = (query.addr & ((uint64_t{1} << slot.leaf_shift) - 1)) / kPageSize;
  return query.frame == 0 || slot.frame + within == query.frame;
}

[[nodiscard]] inline bool is_young(const pte_slot& slot) { return (slot.flags & PTE_YOUNG) != 0; }

// What an accessed bit that is set will mean after make_old().
enum class BitMeaning : uint8_t {
  exact,        // an access since make_old(): the bit was clear then
  since_clear,  // an access since the process's pages of that kind were last cleared
  none,         // nothing: nobody can clear it
};

// What make_old() found and did at one address.
struct Aged {
  bool young = false;  // the bit was set before, on a page that can be made old
  bool whole = false;  // if at all only with all pages of its kind
  bool file = false;   // of the kind ClearKind::file, rather than anon; of young pages
  BitMeaning meaning = BitMeaning::exact;
};

// Looks at pages and makes them old. Owned by one PteBackend and used on its thread.
//
// Pages that are young are made old in one of two ways.
//  - process_madvise(MADV_COLD) on just these pages (and what cannot be parted from them: all of a
//    huge page, all pages of a large folio). It flushes the TLB, so that no access is missed, and
//    moves the pages towards the inactive end of the LRU lists. The kernel does it to pages that
//    are mapped once and not locked, and so it is used for these.
//  - /proc/PID/clear_refs on all pages of a kind (ClearKind) for pages mapped by several processes
//    (those of a program and its libraries, of shared memory, and after fork() all until they are
//    written to), for locked ones, and for large folios that the advice would split. It holds the
//    process's memory map for about 70 ns a page of that kind and is done only where that is 2 ms
//    at most (ClearEstimate); pages of a kind with more stay as they are
//    (BitMeaning::none), with one warning. It is kept to a hundredth of the time (CpuBudget); where
//    under 1/64 of the samples need it, to once a second a process. Between two such clearings a
//    bit that was already set tells only of an access since the last one (BitMeaning::since_clear).
//    It does not flush the TLB, as the kernel's own DAMON does not: an access soon after may be
//    missed.
// The kernel's page of zeros, hugetlb pages and device memory stay as they are (BitMeaning::none).
// So do all pages of a process as long as somebody holds its memory map who is stuck.
class AccessedBitClearer {
 public:
  using TimePoint = AddressSpace::Clock::time_point;

  // `clock` tells how long ago what was done, and what clearing costs; it outlives the ager.
  // ENOTSUP, ENOENT, EPERM as of PageWalker::load(); EPERM without CAP_SYS_NICE.
  static Result<std::unique_ptr<AccessedBitClearer>> create(const Paths& paths, const Clock& clock);

  // The space of a process, which is held from then on.
  AddressSpace& space_of(const std::shared_ptr<const Process>& process);
  // Lets go of the spaces that no make_old() was asked about for 10 s.
  void forget_unused();

  // Fills `queries` with those of the samples, whose targets carry a Process.
  void set_queries(std::span<const Sample> samples, std::vector<PageQuery>& queries);
  // Sees to it that the spaces of the queries are those that their processes have now; make_old()
  // does, too.
  void hold(std::span<const PageQuery> queries);

  // Calls seen(i, slot) for each query, in order; for none when the walk fails, which is not
  // expected and warned of. Does not change the pages. Queries ascend by address within each space,
  // and those of a space are together. `want_ageing`: as of PageWalker::walk().
  template <class Seen>
  void look(std::span<const PageQuery> queries, bool want_ageing, const Seen& seen);

  // Makes the pages old that are young. `aged` becomes as long as `queries`.
  void make_old(std::span<const PageQuery> queries, std::vector<Aged>& aged);

  // Makes old all pages of those `wanted` kinds of which that holds the process's map for 2 ms at
  // most, by clear_refs, unless it was done so lately that it would take more than a hundredth of
  // the time. Returns how long one call took at most; 0 when there was none.
  std::chrono::nanoseconds clear_kinds(AddressSpace& space, const ClearPlan& wanted);
  // Called before pages of these kinds are made old, for who wants to know what their bits tell; it
  // counts as a part of the clearing. Replaces the one before.
  using BeforeClearing = std::function<void(AddressSpace& space, const ClearPlan& kinds)>;
  void set_before_clearing(BeforeClearing before) { before_clearing_ = std::move(before); }

  // The advice that makes pages of the space old. It fails with kMapNotFree instead of waiting for
  // a memory map that somebody holds who is stuck (Process::map_is_free()). The lock is looked at
  // right before the call; between the two there is a gap of some microseconds.
  [[nodiscard]] AdviseCall cold_advice(const AddressSpace& space);

  // How this kernel lays out its memory.
  [[nodiscard]] const pte_layout& layout() const { return walker_->layout(); }
  [[nodiscard]] const pte_geometry& geometry() const { return walker_->geometry(); }

  [[nodiscard]] TimePoint now() const {
    return TimePoint(std::chrono::nanoseconds(clock_->now_ns()));
  }
  // Whether a bit that is set `now` means an access since make_old() left a page of `space` with
  // this meaning, or one not long ago.
  [[nodiscard]] static bool means_access(BitMeaning meaning, const AddressSpace& space,
                                         TimePoint now) {
    return meaning == BitMeaning::exact ||
           (meaning == BitMeaning::since_clear && now - space.cleared_at() < kFreshFor);
  }

 private:
  static constexpr std::chrono::seconds kFreshFor{2};
  static constexpr std::chrono::seconds kSeldom{1};
  static constexpr std::chrono::seconds kForgetAfter{10};
  static constexpr size_t kFewOutOf = 64;
  static constexpr int kClearingOneOutOf = 100;  // of the time

  struct Held {
    std::shared_ptr<const Process> process;
    AddressSpace space;
  };
  // A stretch of ranges_ that belongs to one space.
  struct Stretch {
    AddressSpace* space;
    size_t first;
  };
  // The queries about a space of which some are stuck: those from `first` on in stuck_.
  struct Share {
    AddressSpace* space;
    size_t first;
    size_t nr_stuck;
    size_t nr_all;
    size_t nr_clearable = 0;  // of the stuck ones
  };
  // A query whose page is being made old by the advice on ranges_[range].
  struct Cooling {
    size_t query;
    size_t range;
    bool maybe;  // the advice takes it if it is on an LRU list by then
  };

  AccessedBitClearer(std::unique_ptr<PageWalker> walker, const Clock& clock)
      : clock_(&clock), walker_(std::move(walker)), clearing_(now(), kClearingOneOutOf) {}

  // Whether a call that takes the lock of the space's memory map for reading will be answered soon.
  [[nodiscard]] bool may_read(const AddressSpace& space);
  // The same for the lock in writing, which also keeps others from reading while it is waited for.
  [[nodiscard]] bool may_clear(const AddressSpace& space);

  bool walk(std::span<const PageQuery> queries, bool want_ageing);
  void fill(std::span<const PageQuery> queries);
  bool retake_dead(std::span<const PageQuery> queries);
  bool take(AddressSpace& space);

  void survey(std::span<const PageQuery> queries, std::vector<Aged>& aged);
  void add_cooling(size_t query, AddressSpace* space, const pte_slot& slot);
  void cool(std::vector<Aged>& aged);
  void cool_stretch(const Stretch& stretch, size_t end, std::vector<Aged>& aged);
  void look_after_cooling(std::span<const PageQuery> queries);
  void clear_stuck(std::span<const PageQuery> queries, std::vector<Aged>& aged);
  std::vector<Share> shares_of_stuck(std::span<const PageQuery> queries) const;
  void judge_stuck(Share& share, std::vector<Aged>& aged);
  bool clear_share(const Share& share);
  // Clears one kind, and learns what that takes. As clear_kinds().
  Result<std::chrono::nanoseconds> clear_kind(AddressSpace& space, ClearKind kind);
  // What was refused because clearing was slow once is to be tried again some time.
  void ease(TimePoint now);
  void look_after_clearing(std::span<const PageQuery> queries, std::vector<Aged>& aged);

  const Clock* clock_;
  std::unique_ptr<PageWalker> walker_;
  std::unordered_map<const Process*, Held> held_;
  CpuBudget clearing_;
  ClearEstimate estimate_;
  TimePoint eased_at_;
  BeforeClearing before_clearing_;
  WarnOnce warn_;
  TimePoint now_;  // when the running, or last, make_old() began

  // Of one make_old(), kept for their memory.
  std::vector<iovec> ranges_;
  std::vector<Leaves> range_leaves_;  // parallel to ranges_
  std::vector<Stretch> stretches_;
  std::vector<Cooling> cooling_;
  std::vector<bool> refused_;  // as long as ranges_
  std::vector<size_t> stuck_;  // queries whose page only clear_refs makes old
  std::vector<size_t> again_;  // queries that are looked at once more
  std::vector<PageQuery> again_queries_;
};

template <class Seen>
void AccessedBitClearer::look(std::span<const PageQuery> queries, bool want_ageing,
                              const Seen& seen) {
  for (size_t first = 0; first < queries.size(); first += PTE_MAX_SLOTS) {
    const auto chunk =
        queries.subspan(first, std::min<size_t>(queries.size() - first, PTE_MAX_SLOTS));
    if (!walk(chunk, want_ageing)) return;
    const std::span<const pte_slot> slots = walker_->slots();
    for (size_t i = 0; i < chunk.size(); ++i) seen(first + i, slots[i]);
  }
}

}  // namespace damonfs
