// Making young pages of whole page tables old.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "core/base/result.h"
#include "core/sweep.h"
#include "ops/pte/accessed_bit_clearer.h"
#include "ops/pte/page_bits.h"

namespace damonfs {

// Gives MADV_COLD to the young leaves of blocks and finds out which of them the kernel has left
// young. Owned by one PteSweeper and used on its thread.
//
// To ask of each page what makes it old takes as long as making it old. So only the edges of a
// range of young pages are asked about before: neighbours are mostly of one kind, and an edge may
// lie within a large folio, which the advice would split. Then the range is advised and its bits
// are read again; only pages that are still young are asked about: they were accessed meanwhile, or
// are of a kind that the advice spares (mapped by several processes, locked, hugetlb).
class BlockAger {
 public:
  // Reads the bits of the same blocks once more. Blocks that have gone may be missing.
  using ReadAgain = std::function<Result<std::span<const LeafBlock>>()>;

  // `clearer` outlives this.
  explicit BlockAger(AccessedBitClearer& clearer) : clearer_(&clearer) {}

  // Makes the leaves of `blocks` (ascending) old that are young and neither unknown nor in `whole`.
  // What only clear_refs makes old comes into `whole`, what nobody can make old becomes unknown. A
  // leaf that is accessed meanwhile may be made old again: it counts as accessed anyway. A leaf
  // that is not young is left alone, but for those in a large folio with a young one, which is
  // advised as a whole. All are unknown of a process whose memory map somebody holds who is stuck.
  // EPERM, ESRCH: the process may not be advised, or has gone.
  Result<> make_old(AddressSpace& space, std::span<LeafBlock> blocks, const ReadAgain& read_again,
                    SweepCost& cost);

  // What making young leaves of a block old takes, in units of about 100 ns.
  [[nodiscard]] static uint64_t units(const LeafBlock& block);

 private:
  // Leaves [first, end) of a block that are advised at once, and the memory that has to be.
  struct Range {
    size_t block;
    unsigned first;
    unsigned end;
    AddrRange extent;
    bool refused = false;
  };
  struct LeafQuery {
    size_t range;  // number in ranges_
    unsigned leaf;
  };

  // Makes unknown what was to be made old: the memory map of the process is not free.
  Result<> give_up();
  void collect();
  void check_edges();
  // Asks about each leaf of the ranges in `odd` and replaces them by ranges of what can be advised.
  void check_all(const std::vector<bool>& odd);
  Result<> advise(SweepCost& cost);
  Result<> advise_batch(std::span<Range> ranges, SweepCost& cost);
  // What is still young in `again`: makes unknown what cannot be made old; what may be made old by
  // another try becomes the new ranges_.
  void settle(std::span<const LeafBlock> again, bool last);
  void ask(const std::vector<LeafQuery>& leaves,
           const std::function<void(const LeafQuery&, const pte_slot&)>& seen);
  [[nodiscard]] uint64_t units(const Range& range) const;

  AccessedBitClearer* clearer_;
  double ns_a_unit_ = 100;  // of the last calls; more on slow machines

  // Of one make_old(), kept for their memory.
  AddressSpace* space_ = nullptr;
  std::span<LeafBlock> blocks_;
  std::vector<Range> ranges_;
  std::vector<Range> next_ranges_;
  std::vector<LeafQuery> leaves_;
  std::vector<PageQuery> queries_;
  std::vector<iovec> pieces_;
  std::vector<Leaves> piece_leaves_;  // parallel to pieces_
  std::vector<size_t> piece_of_;      // parallel to the ranges of a batch
  std::vector<bool> refused_;
};

}  // namespace damonfs
