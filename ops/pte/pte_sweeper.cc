#include "ops/pte/pte_sweeper.h"

#include <algorithm>
#include <cerrno>

#include "core/base/arithmetic.h"
#include "core/base/page_size.h"
#include "core/ranges.h"
#include "core/target.h"
#include "ops/base/thread_time.h"
#include "ops/pages/process_pages.h"

namespace damonfs {
namespace {

// A piece makes old what takes about 0.8 ms.
constexpr uint64_t kMaxUnits = 8192;
constexpr uint32_t kMinTables = 8;
constexpr uint64_t kEndOfMemory = uint64_t{1} << 56;

// Takes a part of a middle table apart. Those of its lowest tables follow it in `copied`.
class Directory {
 public:
  Directory(const CopiedTables& copied, AddrRange range, std::vector<LeafBlock>& blocks)
      : copied_(copied),
        range_(range),
        blocks_(blocks),
        page_shift_(copied.geometry->shift[0]),
        huge_shift_(copied.geometry->shift[1]) {}

  // The table at `number`; returns the number of the first table that is no part of it.
  size_t take(size_t number) {
    const sweep_table& table = copied_.tables[number];
    const __u64* entries = copied_.entries[number];
    const auto table_number = static_cast<uint32_t>(number);
    const uint64_t end =
        std::min<uint64_t>(table.addr + (uint64_t{SWEEP_ENTRIES} << huge_shift_), range_.end);
    uint64_t addr = std::max<uint64_t>(table.addr, range_.start) >> huge_shift_ << huge_shift_;
    ++number;
    bool joins = false;
    for (; addr < end; addr += uint64_t{1} << huge_shift_) {
      const uint64_t entry = entries[index_at(addr, huge_shift_)];
      if (pte_is_huge(copied_.geometry, copied_.layout, entry) && addr >= range_.start) {
        add_huge(addr, table_number, entry, joins);
        joins = true;
        continue;
      }
      joins = false;
      const uint64_t next = addr + (uint64_t{1} << huge_shift_);
      while (number < copied_.tables.size() && copied_.tables[number].addr >= addr &&
             copied_.tables[number].addr < next && copied_.tables[number].shift == page_shift_)
        add_table(number++);
    }
    return number;
  }

 private:
  void add_huge(uint64_t addr, uint32_t table, uint64_t entry, bool joins) {
    if (!joins) {
      blocks_.push_back({.addr = addr, .shift = huge_shift_});
      blocks_.back().table = table;
      blocks_.back().first_entry = index_at(addr, huge_shift_);
    }
    LeafBlock& block = blocks_.back();
    add_huge_leaf(*copied_.geometry, *copied_.layout, block,
                  static_cast<unsigned>((addr - block.addr) >> huge_shift_), entry);
  }
  void add_table(size_t number) {
    const uint64_t addr = copied_.tables[number].addr;
    const uint64_t end = addr + (uint64_t{SWEEP_ENTRIES} << page_shift_);
    const unsigned first = range_.start > addr ? index_at(range_.start, page_shift_) : 0;
    const unsigned last = range_.end < end ? index_at(range_.end, page_shift_) : EntrySet::kSize;
    LeafBlock block =
        read_leaves(*copied_.geometry, *copied_.layout,
                    std::span<const __u64, SWEEP_ENTRIES>(copied_.entries[number], SWEEP_ENTRIES),
                    addr, first, last);
    block.table = static_cast<uint32_t>(number);
    if (block.resident.any()) blocks_.push_back(block);
  }

  const CopiedTables& copied_;
  AddrRange range_;
  std::vector<LeafBlock>& blocks_;
  unsigned page_shift_;
  unsigned huge_shift_;
};

// Calls fn(address, entries) for the leaves of `set` as SharedNotes::Tables has them: for pages
// once, for huge leaves one by one.
template <class Fn>
void for_each_note(const LeafBlock& block, const EntrySet& set, const Fn& fn) {
  if (!set.any()) return;
  if (block.shift == kPageSize.shift()) return fn(block.addr, set);
  EntrySet first;
  first.set(0);
  for (unsigned leaf = set.next_set(0); leaf < EntrySet::kSize; leaf = set.next_set(leaf + 1))
    fn(block.addr_of(leaf), first);
}

// Calls fn(address, leaf) for the memory of each lowest table that there could be in the place of
// the block's resident leaves, which are huge; of larger ones than 2 MiB for the first of it.
template <class Fn>
void for_each_table_of(const LeafBlock& block, const Fn& fn) {
  for (unsigned leaf = block.resident.next_set(0); leaf < EntrySet::kSize;
       leaf = block.resident.next_set(leaf + 1)) {
    const uint64_t end = std::min(block.addr_of(leaf + 1), block.addr_of(leaf) + kHugePageSize);
    for (uint64_t addr = block.addr_of(leaf); addr < end; addr += page_block_size()) fn(addr, leaf);
  }
}

uint64_t end_of(const LeafBlock& block) {
  unsigned last = 0;
  for (unsigned leaf = block.resident.next_set(0); leaf < EntrySet::kSize;
       leaf = block.resident.next_set(leaf + 1))
    last = leaf;
  return block.addr_of(last + 1);
}

}  // namespace

uint64_t take_blocks(const CopiedTables& copied, AddrRange range, std::vector<LeafBlock>& blocks) {
  blocks.clear();
  const AddrRange looked_at{range.start, copied.next};
  for (size_t i = 0; i < copied.tables.size();) {
    const sweep_table& table = copied.tables[i];
    if (table.shift == copied.geometry->shift[1]) {
      i = Directory(copied, looked_at, blocks).take(i);
      continue;
    }
    if (table.shift > copied.geometry->shift[1] && table.addr >= range.start) {
      blocks.push_back({.addr = table.addr, .shift = table.shift});
      blocks.back().table = static_cast<uint32_t>(i);
      add_huge_leaf(*copied.geometry, *copied.layout, blocks.back(), 0, copied.entries[i][0]);
    }
    ++i;
  }
  if (blocks.empty()) return copied.next;
  const bool huge = blocks.back().shift != copied.geometry->shift[0];
  return huge ? std::max(copied.next, end_of(blocks.back())) : copied.next;
}

Result<> PteSweeper::load() {
  if (reader_) return {};
  auto reader = TableReader::load(clearer_->geometry(), clearer_->layout());
  if (!reader) return tl::unexpected(reader.error());
  reader_ = std::move(*reader);
  return {};
}

PteSweeper::PteSweeper(AccessedBitClearer& clearer) : clearer_(&clearer), ager_(clearer) {
  clearer.set_before_clearing(
      [this](AddressSpace& space, const ClearPlan& kinds) { keep_bits(space, kinds); });
}

PteSweeper::Swept& PteSweeper::swept(const std::shared_ptr<const Process>& process) {
  Swept& found = swept_.of(process, [this](const Swept& gone) { notes_.forget(gone.pid); });
  if (found.pid != process->pid()) {
    found.pid = process->pid();
    notes_.want(found.pid);
  }
  return found;
}

Result<CopiedTables> PteSweeper::read(AddressSpace& space, AddrRange range) {
  const auto now = clearer_->now();
  if (!space.fd_valid() || space.stale(now))
    if (auto taken = space.take(now); !taken) return tl::unexpected(taken.error());
  auto copied = reader_->read(space.fd(), range, max_tables_);
  if (copied && copied->dead) {
    if (auto taken = space.take(now); !taken) return tl::unexpected(taken.error());
    copied = reader_->read(space.fd(), range, max_tables_);
  }
  if (copied && copied->dead) return fail(ESRCH, "process {} has no memory", space.process().pid());
  return copied;
}

Result<> PteSweeper::read_all(AddressSpace& space,
                              const std::function<void(std::span<LeafBlock>)>& seen) {
  for (AddrRange range{0, kEndOfMemory}; range.start < range.end;) {
    const auto copied = read(space, range);
    if (!copied) return tl::unexpected(copied.error());
    range.start = take_blocks(*copied, range, again_);
    seen(again_);
  }
  return {};
}

RangeList PteSweeper::files_of(const Swept& swept) {
  const auto mapped = mappings_.of(swept.process.lock());
  return mapped ? (*mapped)->files : RangeList();
}

void PteSweeper::keep_bits(AddressSpace& space, const ClearPlan& kinds) {
  Swept* const known = swept_.find(&space.process());
  if (known == nullptr || !reader_) return;
  Swept& swept = *known;
  swept.spared.set_files(files_of(swept));
  const auto keep = [&](std::span<LeafBlock> blocks) {
    for (const LeafBlock& block : blocks) {
      tell_others(swept.pid, block, block.young);
      swept.spared.note_doubt(block);
      for_each_note(block, swept.spared.not_reported(block),
                    [&](uint64_t addr, const EntrySet& noted) { swept.sampled[addr] |= noted; });
    }
  };
  // What is not read is lost to the next sweep, no more.
  if (!read_all(space, keep)) return;
  swept.spared.note_clearing(kinds);
  notes_.tell_clearing(swept.pid, kinds);
}

void PteSweeper::tell_others(pid_t pid, const LeafBlock& block, const EntrySet& cleared) {
  for_each_note(block, cleared,
                [&](uint64_t addr, const EntrySet& noted) { notes_.tell(pid, addr, noted); });
}

std::map<pid_t, SharedNotes::Notes> PteSweeper::take_notes() {
  if (!notes_.any()) return {};
  auto notes = notes_.take();
  for (auto& [process, swept] : swept_) {
    const auto known = notes.find(swept.pid);
    if (known == notes.end()) continue;
    if (known->second.cleared.any()) swept.spared.note_clearing(known->second.cleared);
    for (const auto& [addr, entries] : known->second.tables) swept.sampled[addr] |= entries;
  }
  return notes;
}

Result<std::vector<AddrRange>> PteSweeper::populated(const Target& target) {
  if (auto loaded = load(); !loaded) return tl::unexpected(loaded.error());
  const auto process = std::static_pointer_cast<const Process>(target.handle);
  RangeList found;
  const auto add = [&](std::span<LeafBlock> blocks) {
    for (const LeafBlock& block : blocks) {
      const uint64_t start = block.addr_of(block.resident.next_set(0));
      append_merged(found,
                    {align_down(start, kHugePageSize), align_up(end_of(block), kHugePageSize)});
    }
  };
  if (auto read = read_all(clearer_->space_of(process), add); !read)
    return tl::unexpected(read.error());
  return found;
}

void PteSweeper::note_accessed(const Process& process, uint64_t addr) {
  const uint64_t table = page_block_of(addr);
  EntrySet page;
  page.set(index_at(addr, kPageSize.shift()));
  notes_.tell(process.pid(), table, page);
  if (Swept* const known = swept_.find(&process)) known->sampled[table] |= page;
}

EntrySet PteSweeper::sampled_of(const Swept& swept, const LeafBlock& block) {
  EntrySet found;
  if (swept.sampled.empty()) return found;
  if (block.shift == kPageSize.shift()) {
    const auto known = swept.sampled.find(block.addr);
    return known == swept.sampled.end() ? found : known->second & block.resident;
  }
  for_each_table_of(block, [&](uint64_t addr, unsigned leaf) {
    if (swept.sampled.contains(addr)) found.set(leaf);
  });
  return found;
}

EntrySet PteSweeper::take_sampled(Swept& swept, const LeafBlock& block) {
  const EntrySet taken = sampled_of(swept, block);
  if (!taken.any()) return taken;
  if (block.shift == kPageSize.shift()) {
    EntrySet& known = swept.sampled[block.addr];
    known = known.without(taken);
    if (!known.any()) swept.sampled.erase(block.addr);
  } else {
    for_each_table_of(block, [&](uint64_t addr, unsigned /*leaf*/) { swept.sampled.erase(addr); });
  }
  return taken;
}

uint64_t PteSweeper::cut(uint64_t next) {
  uint64_t units = 0;
  size_t nr_blocks = 0;
  for (; nr_blocks < blocks_.size() && units < kMaxUnits; ++nr_blocks)
    units += BlockAger::units(blocks_[nr_blocks]);
  if (nr_blocks == blocks_.size()) {
    max_tables_ = std::min<uint32_t>(2 * max_tables_, SWEEP_MAX_TABLES);
    return next;
  }
  max_tables_ =
      std::clamp<uint32_t>(static_cast<uint32_t>(2 * nr_blocks), kMinTables, SWEEP_MAX_TABLES);
  blocks_.resize(nr_blocks);
  return end_of(blocks_.back());
}

void PteSweeper::add_frames(const CopiedTables& copied, const Swept& known, FrameStates& states) {
  leaf_frames_.resize(blocks_.size() * EntrySet::kSize);
  nr_leaves_.resize(blocks_.size());
  for (size_t i = 0; i < blocks_.size(); ++i) {
    LeafBlock& block = blocks_[i];
    const uint64_t frames_a_leaf = (uint64_t{1} << block.shift) / kPageSize;
    const std::span<uint64_t, EntrySet::kSize> frames = frames_of(i);
    EntrySet beyond;  // RAM: a table that was freed under the read, or a device's memory
    for (unsigned leaf = block.resident.next_set(0); leaf < EntrySet::kSize;
         leaf = block.resident.next_set(leaf + 1)) {
      const uint64_t entry = copied.entries[block.table][block.first_entry + leaf];
      frames[leaf] = align_down(pte_physical(copied.geometry, copied.layout, entry) / kPageSize,
                                frames_a_leaf);
      if (frames[leaf] >= copied.layout->phys_end / kPageSize) beyond.set(leaf);
    }
    block.resident = block.resident.without(beyond);
    nr_leaves_[i] = block.resident.count();
    // The kernel's page of zeros and devices' memory are nobody's.
    if (block.shift == kPageSize.shift()) block.resident = block.resident.without(block.unknown);
    LeafBlock told = block;
    told.young |= sampled_of(known, block);
    block.resident = states.add(told, frames);
    block.young = block.young & block.resident;
    block.unknown = block.unknown & block.resident;
  }
}

Result<SweepPiece> PteSweeper::take_piece(AddressSpace& space, AddrRange range, SweepMode mode,
                                          const CopiedTables& copied, Swept& known,
                                          FrameStates* states) {
  SweepPiece piece{.next = take_blocks(copied, range, blocks_)};
  const bool making_old = mode == SweepMode::make_old;
  if (states != nullptr) add_frames(copied, known, *states);
  if (making_old) piece.next = cut(piece.next);
  for (LeafBlock& block : blocks_) known.spared.recall(block);
  if (!making_old) {
    for (LeafBlock& block : blocks_) known.spared.judge(block, {}, false);
    return piece;
  }
  const AddrRange looked_at{range.start, std::min(piece.next, range.end)};
  const auto read_again = [&]() -> Result<std::span<const LeafBlock>> {
    const auto tables = reader_->read(space.fd(), looked_at, SWEEP_MAX_TABLES);
    if (!tables) return tl::unexpected(tables.error());
    take_blocks(*tables, looked_at, again_);
    return std::span<const LeafBlock>(again_);
  };
  if (auto made = ager_.make_old(space, blocks_, read_again, piece.cost); !made)
    return tl::unexpected(made.error());
  for (LeafBlock& block : blocks_) {
    known.spared.remember(block);
    tell_others(known.pid, block, block.to_make_old());
    const EntrySet sampled = take_sampled(known, block);
    known.spared.judge(block, sampled, true);
    block.young |= sampled;
  }
  return piece;
}

Result<SweepPiece> PteSweeper::sweep_process(const std::shared_ptr<const Process>& process,
                                             AddrRange range, SweepMode mode, FrameStates* states) {
  if (auto loaded = load(); !loaded) return tl::unexpected(loaded.error());
  AddressSpace& space = clearer_->space_of(process);
  space.last_used = clearer_->now();
  Swept& known = swept(process);
  take_notes();
  const bool making_old = mode == SweepMode::make_old;
  uint64_t held_ns = 0;
  if (making_old && range.start < known.reached && known.spared.any_whole()) {
    known.spared.set_files(files_of(known));
    const ClearPlan kinds = known.spared.whole_kinds();
    if (kinds.any()) held_ns = static_cast<uint64_t>(clearer_->clear_kinds(space, kinds).count());
  }
  const auto copied = read(space, range);
  if (!copied) return tl::unexpected(copied.error());
  unread_ = reader_->unread();

  auto piece = take_piece(space, range, mode, *copied, known, states);
  if (!piece) return piece;
  if (making_old) known.reached = piece->next;
  piece->cost.max_hold_ns = std::max(piece->cost.max_hold_ns, held_ns);
  return piece;
}

Result<SweepPiece> PteSweeper::sweep(const Target& target, AddrRange range, SweepMode mode,
                                     std::vector<SweptRun>& runs) {
  const uint64_t began = thread_cpu_ns();
  const auto process = std::static_pointer_cast<const Process>(target.handle);
  auto piece = sweep_process(process, range, mode, nullptr);
  if (!piece) return piece;
  for (const LeafBlock& block : blocks_) {
    piece->cost.pages_read += block.resident.count();
    append_runs(block, runs);
  }
  append_joined(runs, {unread_, AccessState::unknown});
  piece->cost.cpu_ns = thread_cpu_ns() - began;
  return piece;
}

Result<SweepPiece> PteSweeper::sweep_frames(const std::shared_ptr<const Process>& process,
                                            AddrRange range, SweepMode mode, FrameStates& states) {
  const uint64_t began = thread_cpu_ns();
  auto piece = sweep_process(process, range, mode, &states);
  if (!piece) return piece;
  for (size_t i = 0; i < blocks_.size(); ++i) {
    piece->cost.pages_read += nr_leaves_[i];
    states.tell(blocks_[i], frames_of(i));
  }
  piece->cost.cpu_ns = thread_cpu_ns() - began;
  return piece;
}

void PteSweeper::note_young(std::span<const PageQuery> queries, std::span<const Aged> aged) {
  for (size_t i = 0; i < aged.size(); ++i) {
    // Of the others note was taken when they were cleared.
    if (aged[i].young && !aged[i].whole)
      note_accessed(queries[i].space->process(), queries[i].addr);
  }
}

bool PteSweeper::noted(const std::map<pid_t, SharedNotes::Notes>& notes, const PageQuery& query,
                       const Aged& aged, const pte_slot& slot) {
  if (aged.meaning != BitMeaning::exact) return false;
  const auto of_process = notes.find(query.space->process().pid());
  if (of_process == notes.end()) return false;
  const SharedNotes::Tables& tables = of_process->second.tables;
  const auto table = tables.find(page_block_of(query.addr));
  if (table == tables.end()) return false;
  if (slot.leaf_shift > kPageSize.shift()) return true;
  return table->second.test(index_at(query.addr, kPageSize.shift()));
}

}  // namespace damonfs
