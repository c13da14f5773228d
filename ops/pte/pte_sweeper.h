// Sweeps of processes by their page tables.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "core/sweep.h"
#include "ops/pte/accessed_bit_clearer.h"
#include "ops/pte/block_ager.h"
#include "ops/pte/page_bits.h"
#include "ops/pte/table_reader.h"

namespace damonfs {

// Sweeps the address spaces of processes: copies their page tables as a whole (TableReader) and
// makes old what is young (BlockAger). Owned by one PteBackend and used on its thread. Memory: 1
// MiB for copies, and 64 bytes for each 512 pages of which any is unknown, or was found accessed
// by a sample.
//
// Reading takes no lock of the process. A table that goes away while it is copied is noticed. A
// page that is accessed after its table was copied and before it is made old counts as accessed
// since its bit was set in the copy; one whose bit was not set in the copy is not made old.
//
// Pages that MADV_COLD does not age stay young and are unknown. They are found by trying; what was
// found is believed for the next kTrustedSweeps sweeps of these pages.
class PteSweeper final : public Sweeper {
 public:
  // `clearer` outlives this. The program is loaded by the first sweep().
  explicit PteSweeper(AccessedBitClearer& clearer) : clearer_(&clearer), ager_(clearer) {}

  Result<SweepPiece> sweep(const Target& target, AddrRange range, SweepMode mode,
                           std::vector<SweptRun>& runs) override;

  // A sample found the page at `addr` accessed and made it old: the next sweep has to tell. Nothing
  // for a process that was never swept.
  void note_accessed(const Process& process, uint64_t addr);

 private:
  static constexpr unsigned kTrustedSweeps = 8;

  // Pages of one table that were found to be unknown.
  struct Stuck {
    EntrySet leaves;
    unsigned sweeps_left = 0;  // before they are tried again
  };
  struct Swept {
    std::weak_ptr<const Process> process;
    std::unordered_map<uint64_t, Stuck> stuck;  // by address of the block
    // Pages that samples found accessed since the last sweep, by the address of the block.
    std::unordered_map<uint64_t, EntrySet> sampled;
  };

  Result<> load();
  Swept& swept(const std::shared_ptr<const Process>& process);
  // Copies tables for `range`, with the address space that the process has by now.
  Result<CopiedTables> read(AddressSpace& space, AddrRange range);
  void recall_stuck(Swept& swept, std::span<LeafBlock> blocks);
  static void recall_sampled(Swept& swept, std::span<LeafBlock> blocks);
  void remember_stuck(Swept& swept, std::span<const LeafBlock> blocks);
  // Leaves as many blocks as one piece may make old; the end of the last one.
  uint64_t cut(uint64_t next);

  AccessedBitClearer* clearer_;
  BlockAger ager_;
  std::unique_ptr<TableReader> reader_;
  std::unordered_map<const Process*, Swept> swept_;
  uint32_t max_tables_ = 64;

  // Of one piece, kept for their memory.
  std::vector<LeafBlock> blocks_;
  std::vector<LeafBlock> again_;
};

// Takes the copied tables apart: blocks of what is resident in [start, copied.next), ascending. The
// leaf that holds `start` is left out if it begins below. Returns the end of what was looked at:
// copied.next, or where the last leaf ends if that is above.
uint64_t take_blocks(const CopiedTables& copied, AddrRange range, std::vector<LeafBlock>& blocks);

}  // namespace damonfs
