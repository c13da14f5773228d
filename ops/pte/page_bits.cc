#include "ops/pte/page_bits.h"

#include <algorithm>

namespace damonfs {
namespace {

// Bits of an entry, by the processor's manual; 8 and 9 as Linux uses them.
constexpr unsigned kPresent = 0;
constexpr unsigned kAccessed = 5;
constexpr unsigned kHugeLeaf = 7;  // in tables above the lowest
constexpr unsigned kProtNone = 8;  // mapped, but not for the processor: only if not present
constexpr unsigned kSpecial = 9;   // no page that can be made old: the zero page, device memory

bool has(uint64_t entry, unsigned bit) { return (entry >> bit & 1) != 0; }

}  // namespace

void EntrySet::clear_below(unsigned i) {
  for (size_t w = 0; w < kWords && w * 64 < i; ++w)
    words_[w] = i >= (w + 1) * 64 ? 0 : words_[w] & (UINT64_MAX << (i - w * 64));
}

void EntrySet::clear_from(unsigned i) {
  for (size_t w = i / 64; w < kWords; ++w)
    words_[w] = i <= w * 64 ? 0 : words_[w] & ~(UINT64_MAX << (i - w * 64));
}

unsigned EntrySet::next(unsigned from, uint64_t flip) const {
  if (from >= kSize) return kSize;
  uint64_t word = (words_[from / 64] ^ flip) & UINT64_MAX << from % 64;
  for (size_t w = from / 64;; word = words_[w] ^ flip) {
    if (word != 0)
      return static_cast<unsigned>(w * 64) + static_cast<unsigned>(std::countr_zero(word));
    if (++w == kWords) return kSize;
  }
}

LeafBlock read_leaves(std::span<const __u64, PTE_TABLE_ENTRIES> entries, uint64_t table_addr,
                      unsigned first, unsigned end) {
  LeafBlock block{.addr = table_addr, .shift = PTE_PAGE_SHIFT};
  for (size_t w = 0; w < EntrySet::kWords; ++w) {
    uint64_t resident = 0;
    uint64_t young = 0;
    uint64_t special = 0;
    for (unsigned bit = 0; bit < 64; ++bit) {
      const uint64_t entry = entries[w * 64 + bit];
      resident |= ((entry >> kPresent | entry >> kProtNone) & 1) << bit;
      young |= (entry >> kAccessed & 1) << bit;
      special |= (entry >> kSpecial & entry & 1) << bit;
    }
    block.resident.word(w) = resident;
    block.young.word(w) = young & resident;
    block.unknown.word(w) = young & resident & special;
  }
  if (first > 0) block.resident.clear_below(first);
  if (end < EntrySet::kSize) block.resident.clear_from(end);
  block.young = block.young & block.resident;
  block.unknown = block.unknown & block.resident;
  return block;
}

bool is_huge_leaf(uint64_t entry) { return has(entry, kHugeLeaf); }

void add_huge_leaf(LeafBlock& block, unsigned leaf, uint64_t entry) {
  block.resident.set(leaf);
  if (has(entry, kAccessed)) block.young.set(leaf);
  // Neither bit is set while the kernel is changing the entry.
  const bool mapped = has(entry, kPresent) || has(entry, kProtNone);
  if (!mapped || (block.shift > PTE_PMD_SHIFT && has(entry, kAccessed))) block.unknown.set(leaf);
}

void append_runs(const LeafBlock& block, std::vector<SweptRun>& runs) {
  const auto append = [&](unsigned first, unsigned end, AccessState state) {
    append_joined(runs, {block.range_of(first, end), state});
  };
  for (unsigned first = block.resident.next_set(0); first < EntrySet::kSize;) {
    const bool unknown = block.unknown.test(first);
    const bool young = block.young.test(first);
    unsigned end = block.resident.next_clear(first);
    end = std::min(end, unknown ? block.unknown.next_clear(first) : block.unknown.next_set(first));
    if (!unknown)
      end = std::min(end, young ? block.young.next_clear(first) : block.young.next_set(first));
    append(first, end,
           unknown ? AccessState::unknown
           : young ? AccessState::accessed
                   : AccessState::not_accessed);
    first = block.resident.next_set(end);
  }
}

}  // namespace damonfs
