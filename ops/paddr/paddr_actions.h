// What schemes do to physical memory.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/operations.h"
#include "core/ranges.h"
#include "core/scheme.h"
#include "ops/actions/action_calls.h"
#include "ops/actions/advise.h"
#include "ops/actions/migrate.h"
#include "ops/backend/paddr_backend.h"
#include "ops/base/warn_once.h"
#include "ops/filters/paddr_filters.h"
#include "ops/pages/kpageflags.h"
#include "ops/pages/process_pages.h"
#include "ops/procfs/known_mappings.h"
#include "ops/procfs/paths.h"
#include "ops/rmap/reverse_map_scan.h"

namespace damonfs {

// How a PaddrActions is to work. A plain value.
struct PaddrActionOptions {
  bool dry_run = false;
  ProcessPages::Method method = ProcessPages::Method::best;
};

// Does schemes' actions to page frames, through the processes that map them: the apply() of paddr.
// Owned by the operations of one context, on its kdamond's thread.
//
//   pageout                    process_madvise(MADV_PAGEOUT) on each mapping. The kernel leaves
//                              pages alone that several processes map: tried, not applied
//   lru_prio                   process_vm_readv() of a byte of the folio, twice: the first marks it
//                              referenced, the second has it activated. Reaches shared pages too
//   lru_deprio                 process_madvise(MADV_COLD); shared pages as with pageout
//   migrate_hot, migrate_cold  move_pages(2) to target_nid, see Migrator; of shared pages, too
//   stat                       asks the filters only
//
// All others are of virtual addresses, as in the kernel: tried, not applied, and one warning.
//
// What is acted on are folios on the lists of reclaim, each as a whole, by the region that holds
// its first frame. Left alone are: folios that a protected process (MappingProcess) maps; page
// cache that no process maps, which no call from outside reaches by its frames; hugetlbfs, the
// kernel's own memory and what is no memory at all. Before a mapping is acted on it is asked
// whether it still leads to the frame, so that a process which changed since the scan has nothing
// done to other pages, but for those it changes within the microseconds from question to call.
//
// Bytes applied: pageout: mapped before, and by none of the mappings after, of processes that still
// have memory; lru_deprio: the advice was taken; lru_prio: marked twice; migrate: on the node after
// and not before. A dry run counts what would be tried and is not known to be refused. What passed
// the filters is counted whether there are any or not, as by the kernel (but for stat).
class PaddrActions {
 public:
  // `keeper` and `bits` must outlive it.
  PaddrActions(Paths paths, RmapRefresher& keeper, PaddrBackend& bits,
               PaddrActionOptions options = {},
               std::unique_ptr<ActionCalls> calls = std::make_unique<ActionCalls>());

  // Sets sz_applied and sz_filter_passed of all `work`, in units of `addr_unit` bytes, as regions
  // are. Pieces ascend by address. Never fails: each cause for which something is not applied is
  // warned of once.
  void apply(const Scheme& scheme, std::span<Application> work, uint64_t addr_unit);

  // As Operations::node_share(), of what apply() would act on.
  [[nodiscard]] NodeShare node_share(std::span<const AddrRange> memory, uint64_t addr_unit,
                                     int nid);

  // Where memory is, is looked up when it is needed, and remembered until this is called.
  void forget_memory() { memory_.clear(); }

 private:
  // A folio that is to be acted on.
  struct Unit {
    Folio folio;
    size_t piece;  // of the work
    bool is_protected = false;
  };
  // One mapping of one of its frames.
  struct Page {
    uint64_t frame;
    uint64_t addr;     // virtual, bytes
    uint32_t process;  // index in the reverse map
    uint32_t unit;
    bool changed = false;
  };
  // A process that is being acted on, and the pages of it: sorted by address.
  struct Space {
    const Process& process;
    RangeList mappings;
    ProcessPages info;
  };
  struct Batch;

  [[nodiscard]] bool possible(const SchemeParams& params);
  // Where page frames are: holes in between may be large.
  const RangeList& memory();
  void apply_window(const SchemeParams& params, Batch& batch, std::span<const AddrRange> window);
  [[nodiscard]] std::vector<Unit> units_in(const Batch& batch, std::span<const AddrRange> window);
  void filter(const SchemeParams& params, Batch& batch, std::vector<Unit>& units);
  [[nodiscard]] std::vector<Page> pages_of(const Batch& batch, std::vector<Unit>& units);
  void act(const SchemeParams& params, Batch& batch, std::vector<Page>& pages);
  void act_on_process(const SchemeParams& params, Space& space, std::span<Page> pages);
  void page_out(Space& space, std::span<Page> pages);
  void prioritize(const Process& process, std::span<Page> pages);
  // Bytes of `folio` to which the action was done, of one frame by all `mappings` that were tried.
  [[nodiscard]] uint64_t applied(Action action, const Folio& folio,
                                 std::span<const Page> mappings) const;
  [[nodiscard]] Space* space_of(Batch& batch, uint32_t process);

  Paths paths_;
  RmapRefresher& keeper_;
  PaddrActionOptions options_;
  std::unique_ptr<ActionCalls> calls_;
  Kpageflags frames_;
  PaddrFilters filters_;
  Adviser adviser_;
  Migrator migrator_;
  RangeList memory_;  // empty: not known
  KnownMappings mappings_;
  WarnOnce warn_;
};

}  // namespace damonfs
