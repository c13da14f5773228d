// Sweeps: asking of every page of a range whether it was accessed, where sampling asks one page a
// region.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/base/result.h"
#include "core/ranges.h"
#include "core/region.h"

namespace damonfs {

class Target;

// What a sweep says of the accesses to a page.
enum class AccessState : uint8_t {
  accessed,      // since it was last made old
  not_accessed,  // since then
  unknown,       // it is resident, but its accesses cannot be told now: never to be taken for cold
};

// Neighbouring resident pages in the same state. A value.
struct SweptRun {
  AddrRange range;  // bytes, multiples of the page size
  AccessState state = AccessState::unknown;

  friend bool operator==(const SweptRun&, const SweptRun&) = default;
};

// What passes of sweeps (core/sweep_guide.h) found of one target. Owned by the Target, same thread
// rule. The lists ascend and do not overlap; bytes.
struct TargetSweeps {
  uint64_t nr_passes = 0;           // that have begun since the target is there
  uint64_t unknown_bytes = 0;       // that the last whole pass could not tell of
  uint64_t unknown_so_far = 0;      // and this pass
  std::vector<SweptRun> found;      // in this pass, and no borders put yet
  std::vector<SweptRun> this_pass;  // the rest of this pass
  std::vector<SweptRun> last_pass;  // the whole pass before
  RangeList covered;                // what this pass has swept
  RangeList last_covered;           // and the pass before
};

// What sweeping has cost. A value; costs add up.
struct SweepCost {
  uint64_t pages_read = 0;      // entries for pages that were looked at; one for a huge page
  uint64_t pages_made_old = 0;  // of these, how many the sweeper has made old
  uint64_t cpu_ns = 0;          // of the calling thread
  uint64_t max_hold_ns = 0;     // the longest call that held the target's memory map

  SweepCost& operator+=(const SweepCost& other) {
    pages_read += other.pages_read;
    pages_made_old += other.pages_made_old;
    cpu_ns += other.cpu_ns;
    if (other.max_hold_ns > max_hold_ns) max_hold_ns = other.max_hold_ns;
    return *this;
  }
};

// How far one call got. A value.
struct SweepPiece {
  uint64_t next = 0;  // the first address that was not looked at; the range's end when all were
  SweepCost cost{};
};

// Memory of a target that a pass is going to ask for. Bytes. A value.
struct SweepWish {
  const Target* target = nullptr;
  AddrRange range;
};

enum class SweepMode : uint8_t {
  make_old,  // a page that was accessed is made old, so that the next sweep tells of accesses since
  look,      // pages stay as they are
};

// Sweeps the address spaces of targets. Owned by a backend, used on its thread. It shares the
// accessed bits with the backend's samples: a sweep between prepare() and check() takes accesses
// away from samples in the same range, so sweep between check() and the next prepare().
class Sweeper {
 public:
  virtual ~Sweeper() = default;

  // A pass begins that will ask for `wishes` (by target, ascending, not overlapping) in their order
  // and for little else. Only who has to look at all memory before it can tell of any needs it.
  virtual void begin_pass(std::span<const SweepWish> /*wishes*/) {}

  // Looks at the resident pages of `range` (multiples of the page size), from its start on, as far
  // as one piece goes, and appends what it found to `runs`: ascending, not overlapping, as few as
  // can be within the piece. What lies between range.start and SweepPiece::next and in no run is
  // not resident. One piece takes about a millisecond, none of its system calls holds the target's
  // memory map for longer; the caller looks at a stop and at its budget before it asks on from
  // `next`, which is above range.start. For a sweeper of physical memory it may be range.start
  // itself: it has worked for what it is to tell in this pass, and has nothing to tell yet.
  //
  // A huge page is one bit: it belongs to the range that holds its first byte. It is reported there
  // as a whole, so that the last run may end beyond range.end (`next` then does, too), and left out
  // of a range that begins within it. Only who tells of page frames, or tells what was read before,
  // may report it by the parts that lie in each range.
  //
  // In the first sweep of a target `accessed` means: since anybody last made the page old, maybe
  // ages ago. ESRCH: the target has gone, or has no memory (zombies, kernel threads). EPERM and
  // other errors: the target cannot be swept at all; nothing was appended.
  virtual Result<SweepPiece> sweep(const Target& target, AddrRange range, SweepMode mode,
                                   std::vector<SweptRun>& runs) = 0;

  // Where the target has resident pages, rounded to 2 MiB: ascending, not overlapping, apart. Takes
  // time by what is mapped, not by what is reserved. Errors as sweep(); ENOTSUP where it would take
  // longer.
  virtual Result<std::vector<AddrRange>> populated(const Target& target);
};

// Appends `run` to the ascending `runs`, joined to the last one where it touches it and says the
// same. An empty one is left out.
inline void append_joined(std::vector<SweptRun>& runs, SweptRun run) {
  if (run.range.start >= run.range.end) return;
  if (!runs.empty() && runs.back().state == run.state && runs.back().range.end == run.range.start) {
    runs.back().range.end = run.range.end;
  } else {
    runs.push_back(run);
  }
}

}  // namespace damonfs
