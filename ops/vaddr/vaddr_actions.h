// What schemes do to processes.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "core/operations.h"
#include "core/ranges.h"
#include "core/scheme.h"
#include "ops/actions/action_calls.h"
#include "ops/actions/advise.h"
#include "ops/actions/migrate.h"
#include "ops/backend/young_test.h"
#include "ops/base/warn_once.h"
#include "ops/filters/vaddr_filters.h"
#include "ops/pages/kpageflags.h"
#include "ops/pages/process_pages.h"
#include "ops/procfs/device_access.h"
#include "ops/procfs/known_mappings.h"
#include "ops/procfs/paths.h"
#include "ops/procfs/process.h"

namespace damonfs {

// How a VaddrActions is to work. A plain value.
struct VaddrActionOptions {
  bool dry_run = false;
  // Whether schemes act on processes whose memory is accessed past their page tables
  // (device_access.h), too: it looks cold.
  bool act_on_devices = false;
  YoungTest* ages = nullptr;  // answers the filter `young`; without, nothing passes one
  ProcessPages::Method method = ProcessPages::Method::best;
};

// Does schemes' actions to targets whose handle is a Process: the apply() of vaddr and fvaddr.
// Owned by the operations of one context, on its kdamond's thread.
//
//   willneed, cold, pageout, collapse  process_madvise(2) on the pidfd; the process's own policy
//                                      and LRU order apply as if it had called madvise(2) itself
//   hugepage                           the kernel takes MADV_HUGEPAGE only from the process itself:
//                                      done as collapse, which makes the huge pages now but leaves
//                                      no mark for pages to come
//   nohugepage                         likewise, and nothing comes near: not applied
//   migrate_hot, migrate_cold          move_pages(2), see Migrator
//   lru_prio, lru_deprio               not of virtual addresses, as in the kernel: not applied
//   stat                               asks the filters only
//
// Bytes applied are pages that changed: pageout: resident before and not after (of any mapping that
// is gone after, too); cold: resident, and the kernel took the advice; willneed: swapped out, or
// content of a file that was not in memory, and taken (a page counts again until it is touched);
// collapse, hugepage: mapped by a huge page after and not before; migrate: on its node after and
// not before. The page of zeros that unwritten memory reads as is no page here.
//
// Filters of operations are honoured by all actions; the kernel's vaddr does so for stat and
// migrate only. What passed them is counted in pages that are there (willneed: or swapped out).
//
// A dry run does all but the act: applied is then what would change, as far as that can be seen
// beforehand (locked pages count although they stay).
class VaddrActions {
 public:
  explicit VaddrActions(Paths paths, VaddrActionOptions options = {},
                        std::unique_ptr<ActionCalls> calls = std::make_unique<ActionCalls>());

  // Sets sz_applied and sz_filter_passed of all `work`, which is best grouped by target and
  // ascending by address within one: each ascending run costs a look at the process's mappings and
  // pages and at least one call. A process that is gone has nothing done, nor has one whose memory
  // map somebody holds who does not let go. Never fails: each cause
  // for which something is not applied is warned of once.
  void apply(const Scheme& scheme, std::span<Application> work);

 private:
  struct Job;

  bool possible(const SchemeParams& params);
  bool is_protected(const std::shared_ptr<TargetHandle>& handle, const SchemeParams& params);
  void apply_to_process(const SchemeParams& params, std::span<Application> work);
  void filter(const SchemeParams& params, Job& job);
  [[nodiscard]] RangeList act(const SchemeParams& params, Job& job);
  [[nodiscard]] RangeList make_cold(Job& job);
  [[nodiscard]] RangeList page_out(Job& job);
  [[nodiscard]] RangeList read_ahead(Job& job);
  [[nodiscard]] RangeList collapse(Job& job);

  Paths paths_;
  VaddrActionOptions options_;
  std::unique_ptr<ActionCalls> calls_;
  Kpageflags frames_;
  VaddrFilters filters_;
  Adviser adviser_;
  Migrator migrator_;
  DeviceAccess devices_;
  KnownMappings mappings_;
  WarnOnce warn_;
};

}  // namespace damonfs
