// What schemes do to described processes.
#pragma once

#include <cstdint>
#include <map>
#include <span>

#include "core/operations.h"
#include "core/scheme.h"
#include "ops/base/warn_once.h"
#include "ops/synthetic/residency.h"

namespace damonfs {

// Does schemes' actions to the memory of a pattern's processes, counted as VaddrActions counts:
//
//   pageout                    what is there goes, until the pattern accesses it again
//   willneed                   what is paged out comes back
//   cold, lru_prio, lru_deprio what is there; nothing changes, as there are no LRU lists
//   collapse, hugepage         whole 2 MiB blocks of a mapping of which anything is there and that
//                              are not huge yet; all of them is there after
//   migrate_hot, migrate_cold  what is there and not on the destination yet; of several
//                              destinations the first stands for all
//   stat                       asks the filters only
//   nohugepage                 nothing
//
// Filters: a page is anonymous unless the pattern says `file`; young when it was accessed since the
// scheme asked last (in the mean: of a piece of which the share p was, p counts as young);
// hugepage_size is its leaf's, or 2 MiB once collapsed; no page is in a memory cgroup or unmapped.
// `active` cannot be told: nothing passes one. What is paged out is anonymous or of a file only.
// Owned by the operations of one context, on its thread.
class SyntheticActions {
 public:
  // Between what times young pages were accessed, in nanoseconds of the pattern.
  struct Now {
    uint64_t ns = 0;
    uint64_t interval_ns = 0;  // a sampling interval
  };

  // What one piece of work came to; bytes.
  struct Done {
    uint64_t applied = 0;
    uint64_t filter_passed = 0;
  };
  // Does the action to `range` of a process whose memory is settled until now.
  Done act(const Scheme& scheme, AddrRange range, bool ask_filters, Residency& memory,
           const Now& now);

 private:
  struct Job;
  struct Passing {
    double in = 1;   // share of what is there
    double out = 1;  // of what is paged out
  };

  [[nodiscard]] Passing passing(const Job& job, const Residency::Piece& piece);
  double change(const Job& job, Residency::Piece& piece, const Passing& pass) const;
  double collapse(const Job& job, AddrRange range);
  double migrate(const Job& job, AddrRange range);
  uint64_t young_since(const Scheme& scheme, uint64_t now_ns);

  // When a scheme asked for young pages: this time, and the time before.
  struct Asked {
    uint64_t before_ns = 0;
    uint64_t last_ns = 0;
  };
  std::map<const Scheme*, Asked> asked_;
  WarnOnce warn_;
};

}  // namespace damonfs
