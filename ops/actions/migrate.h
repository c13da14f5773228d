// Moving pages of processes between NUMA nodes.
#pragma once

#include <span>
#include <vector>

#include "core/ranges.h"
#include "core/scheme.h"
#include "ops/actions/action_calls.h"
#include "ops/actions/mapped_files.h"
#include "ops/base/warn_once.h"
#include "ops/pages/kpageflags.h"
#include "ops/pages/process_pages.h"
#include "ops/procfs/process.h"

namespace damonfs {

// Moves pages with move_pages(2). Owned by one VaddrActions, same thread.
//
// move_pages() knows a process by its number only. A living process keeps its number, so the pidfd
// is asked before and after each call: one that is gone before it is not touched, and what was done
// when it is gone after it is not counted. A number that is given anew within the microseconds
// between question and call would have the new process's pages at the same addresses moved, which
// changes nothing but where they are.
class Migrator {
 public:
  // `calls` and `frames` must outlive it.
  Migrator(ActionCalls& calls, Paths paths, Kpageflags& frames);

  // Moves `pages` (which are present, by `info`) to params.target_nid, or shares them out to
  // params.dests by weight: a folio goes where its offset in its mapping, counted in folios, falls
  // modulo the sum of weights. Returns the pages that were on other nodes before and are on theirs
  // now. A node that is not there or has no memory gets none, with one warning. `dry_run`: moves
  // none, returns those that are not on their nodes.
  RangeList migrate(const SchemeParams& params, const Process& process, ProcessPages& info,
                    std::span<const AddrRange> mappings, std::span<const AddrRange> pages,
                    bool dry_run);

 private:
  struct Job;

  // Sets job.nodes: where each page shall go, -1 for nowhere.
  void choose_nodes(Job& job, std::span<const ActionDest> dests, ProcessPages& info);
  [[nodiscard]] std::vector<bool> nodes_with_memory() const;
  // The node of each page, negative where there is none or the process is gone.
  [[nodiscard]] std::vector<int> current_nodes(const Process& process, std::span<void*> pages);
  // Adds to `moved`; false when the process is gone.
  bool move(const Job& job, bool dry_run, RangeList& moved);

  ActionCalls& calls_;
  Paths paths_;
  Kpageflags& frames_;
  WarnOnce warn_;
};

}  // namespace damonfs
