// What page-table entries say of many pages, a bit a page.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <span>
#include <vector>

#include "core/base/arithmetic.h"
#include "core/base/page_size.h"
#include "core/sweep.h"
#include "ops/pte/sweep.h"

namespace damonfs {

// A bit for each entry of a page table, or of a part of a larger one. A value.
class EntrySet {
 public:
  [[nodiscard]] bool test(unsigned i) const { return (words_[i / 64] >> i % 64 & 1) != 0; }
  void set(unsigned i) { words_[i / 64] |= uint64_t{1} << i % 64; }
  [[nodiscard]] bool any() const {
    uint64_t all = 0;
    for (const uint64_t word : words_) all |= word;
    return all != 0;
  }
  [[nodiscard]] unsigned count() const {
    unsigned count = 0;
    for (const uint64_t word : words_) count += static_cast<unsigned>(std::popcount(word));
    return count;
  }
  // The first i >= from that is set, or that is not; kSize when there is none.
  [[nodiscard]] unsigned next_set(unsigned from) const { return next(from, 0); }
  [[nodiscard]] unsigned next_clear(unsigned from) const { return next(from, UINT64_MAX); }
  void clear_below(unsigned i);
  void clear_from(unsigned i);

  [[nodiscard]] uint64_t& word(size_t i) { return words_[i]; }
  [[nodiscard]] EntrySet operator|(const EntrySet& other) const {
    return with(other, [](uint64_t a, uint64_t b) { return a | b; });
  }
  EntrySet& operator|=(const EntrySet& other) { return *this = *this | other; }
  [[nodiscard]] EntrySet operator&(const EntrySet& other) const {
    return with(other, [](uint64_t a, uint64_t b) { return a & b; });
  }
  [[nodiscard]] EntrySet without(const EntrySet& other) const {
    return with(other, [](uint64_t a, uint64_t b) { return a & ~b; });
  }
  friend bool operator==(const EntrySet&, const EntrySet&) = default;

  static constexpr unsigned kSize = SWEEP_ENTRIES;
  static constexpr size_t kWords = kSize / 64;

 private:
  [[nodiscard]] unsigned next(unsigned from, uint64_t flip) const;
  template <class Fn>
  [[nodiscard]] EntrySet with(const EntrySet& other, const Fn& fn) const {
    EntrySet result;
    for (size_t i = 0; i < kWords; ++i) result.words_[i] = fn(words_[i], other.words_[i]);
    return result;
  }

  std::array<uint64_t, kWords> words_{};
};

// Neighbouring leaves of one size, at most those of one part of a table, and what is known of each.
// A value.
struct LeafBlock {
  uint64_t addr = 0;   // virtual, of the leaf of bit 0
  unsigned shift = 0;  // log2 of the bytes of a leaf
  EntrySet resident{};
  EntrySet young{};    // of these: the accessed bit is set
  EntrySet unknown{};  // of these: the accessed bit tells nothing
  EntrySet whole{};    // can be made old only with all of their kind, by clear_refs
  EntrySet stuck{};    // found to be of a kind that nobody can make old
  // Where it was read: number of the copied table, and of the entry of bit 0 in it.
  uint32_t table = 0;
  uint32_t first_entry = 0;

  // The young ones that can be made old one by one, for all that is known.
  [[nodiscard]] EntrySet to_make_old() const { return young.without(unknown).without(whole); }

  [[nodiscard]] uint64_t addr_of(unsigned leaf) const { return addr + (uint64_t{leaf} << shift); }
  [[nodiscard]] AddrRange range_of(unsigned first, unsigned end) const {
    return {addr_of(first), addr_of(end)};
  }
};

// What a block of pages covers, and where the one with the page at `addr` begins.
inline uint64_t page_block_size() { return SWEEP_ENTRIES * kPageSize; }
inline uint64_t page_block_of(uint64_t addr) { return align_down(addr, page_block_size()); }
// The number of the entry for `addr` in its block, given the log2 of what an entry covers.
constexpr unsigned index_at(uint64_t addr, unsigned shift) {
  return static_cast<unsigned>(addr >> shift & (SWEEP_ENTRIES - 1));
}

// Reads the entries [first, end) of a part of a lowest table.
LeafBlock read_leaves(const pte_geometry& geometry, const pte_layout& layout,
                      std::span<const __u64, SWEEP_ENTRIES> entries, uint64_t table_addr,
                      unsigned first, unsigned end);

// Puts an entry of a table above the lowest, which maps memory itself (pte_is_huge()), into `block`
// as leaf number `leaf`.
void add_huge_leaf(const pte_geometry& geometry, const pte_layout& layout, LeafBlock& block,
                   unsigned leaf, uint64_t entry);

// Appends what `block` says to `runs`, as of Sweeper::sweep().
void append_runs(const LeafBlock& block, std::vector<SweptRun>& runs);

}  // namespace damonfs
