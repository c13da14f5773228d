// Sweeps of processes by their page tables.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "core/sweep.h"
#include "ops/procfs/by_process.h"
#include "ops/procfs/known_mappings.h"
#include "ops/pte/accessed_bit_clearer.h"
#include "ops/pte/block_ager.h"
#include "ops/pte/frame_states.h"
#include "ops/pte/page_bits.h"
#include "ops/pte/shared_notes.h"
#include "ops/pte/spared_pages.h"
#include "ops/pte/table_reader.h"

namespace damonfs {

// Sweeps the address spaces of processes: copies their page tables as a whole (TableReader) and
// makes old what is young (BlockAger). Owned by one PteBackend and used on its thread. Memory: 1
// MiB for copies (two where frames are swept), what SparedPages takes, and 64 bytes for each 512
// pages of which samples or clearings found any accessed.
//
// Reading takes no lock of the process. A table that goes away while it is copied is noticed. A
// page that is accessed after its table was copied and before it is made old counts as accessed
// since its bit was set in the copy; one whose bit was not set in the copy is not made old.
//
// Pages that MADV_COLD does not age are found by trying (SparedPages). Where a process has pages
// that clear_refs makes old, it is written to as a sweep of the process begins anew from below, if
// it holds the process up for 2 ms at most. Before that, and before a sample does so, all bits of
// the process are read and kept for the next sweep. What cannot be made old is unknown.
class PteSweeper final : public Sweeper {
 public:
  // `clearer` outlives this. The program is loaded by the first sweep().
  explicit PteSweeper(AccessedBitClearer& clearer);
  PteSweeper(const PteSweeper&) = delete;
  PteSweeper& operator=(const PteSweeper&) = delete;

  Result<SweepPiece> sweep(const Target& target, AddrRange range, SweepMode mode,
                           std::vector<SweptRun>& runs) override;
  Result<std::vector<AddrRange>> populated(const Target& target) override;

  // As sweep(), of the address space of `process`, but only pages in frames that may be made old
  // are, and what is found goes to `states`; but for a table that keeps changing under the read,
  // see unread().
  Result<SweepPiece> sweep_frames(const std::shared_ptr<const Process>& process, AddrRange range,
                                  SweepMode mode, FrameStates& states);
  // What the last sweep_frames() could not read, at its end; empty mostly.
  [[nodiscard]] AddrRange unread() const { return unread_; }

  // A sample found the page at `addr` accessed and made it old: the next sweep has to tell, and
  // those of other contexts that sweep the process.
  void note_accessed(const Process& process, uint64_t addr);
  // What other contexts have made old since the last call or sweep, of processes that are swept
  // here: the next sweep tells it.
  std::map<pid_t, SharedNotes::Notes> take_notes();
  // The same of all queries' pages that were found young when they were made old.
  void note_young(std::span<const PageQuery> queries, std::span<const Aged> aged);
  // Whether another context has made the page old that was asked for, by `notes`, since this one
  // did.
  static bool noted(const std::map<pid_t, SharedNotes::Notes>& notes, const PageQuery& query,
                    const Aged& aged, const pte_slot& slot);

 private:
  struct Swept {
    std::weak_ptr<const Process> process;
    pid_t pid = 0;
    SparedPages spared;
    // Pages that samples or clearings found accessed since the last sweep, by the address of the
    // block.
    SharedNotes::Tables sampled;
    uint64_t reached = 0;  // by the last sweep that made pages old
  };

  Result<> load();
  Swept& swept(const std::shared_ptr<const Process>& process);
  // Copies tables for `range`, with the address space that the process has by now.
  Result<CopiedTables> read(AddressSpace& space, AddrRange range);
  // Reads the blocks of all of `space`, a part at a time.
  Result<> read_all(AddressSpace& space, const std::function<void(std::span<LeafBlock>)>& seen);
  // Which of the mappings of a process, which is held, are of files, as far as that is known.
  RangeList files_of(const Swept& swept);
  // Keeps what the bits of a process tell, which are about to be cleared.
  void keep_bits(AddressSpace& space, const ClearPlan& kinds);
  // Tells other contexts that these leaves are old now, which were young.
  void tell_others(pid_t pid, const LeafBlock& block, const EntrySet& cleared);
  // What samples and clearings found of the block's leaves.
  static EntrySet sampled_of(const Swept& swept, const LeafBlock& block);
  // The same; forgets it.
  static EntrySet take_sampled(Swept& swept, const LeafBlock& block);
  // Fills blocks_ with what is to be told of a piece: with `states`, of pages that may be made old.
  Result<SweepPiece> sweep_process(const std::shared_ptr<const Process>& process, AddrRange range,
                                   SweepMode mode, FrameStates* states);
  // The same, of the copied tables.
  Result<SweepPiece> take_piece(AddressSpace& space, AddrRange range, SweepMode mode,
                                const CopiedTables& copied, Swept& known, FrameStates* states);
  // Finds the frames of blocks_ and leaves in these what may be made old.
  void add_frames(const CopiedTables& copied, const Swept& known, FrameStates& states);
  // Those of blocks_[i], by leaf.
  std::span<uint64_t, EntrySet::kSize> frames_of(size_t i) {
    return std::span(leaf_frames_).subspan(i * EntrySet::kSize).first<EntrySet::kSize>();
  }
  // Leaves as many blocks as one piece may make old; the end of the last one.
  uint64_t cut(uint64_t next);

  AccessedBitClearer* clearer_;
  SharedNotes notes_;
  KnownMappings mappings_;
  BlockAger ager_;
  std::unique_ptr<TableReader> reader_;
  ByProcess<Swept> swept_;
  uint32_t max_tables_ = 64;

  // Of one piece, kept for their memory.
  std::vector<LeafBlock> blocks_;
  std::vector<LeafBlock> again_;
  AddrRange unread_;
  // Where frames are swept, parallel to blocks_: of each the frames of its leaves, and how many
  // leaves it had.
  std::vector<uint64_t> leaf_frames_;
  std::vector<unsigned> nr_leaves_;
};

// Takes the copied tables apart: blocks of what is resident in [start, copied.next), ascending. The
// leaf that holds `start` is left out if it begins below. Returns the end of what was looked at:
// copied.next, or where the last leaf ends if that is above.
uint64_t take_blocks(const CopiedTables& copied, AddrRange range, std::vector<LeafBlock>& blocks);

}  // namespace damonfs
