// Pages that MADV_COLD spares: what is known of them from one sweep to the next.
#pragma once

#include <cstdint>
#include <unordered_map>

#include "core/ranges.h"
#include "ops/pte/address_space.h"
#include "ops/pte/page_bits.h"

namespace damonfs {

// The pages of one process that cannot be made old one by one. Owned by a PteSweeper, same thread.
//
// Some can be made old together with all others of their kind, by clear_refs (LeafBlock::whole):
// those that several processes map, and locked ones. The bit of such a page tells of an access
// since its kind was last cleared, once; after that it stays set until the next clearing. Before
// the first one it tells nothing, and what it was then is unknown to the next sweep. Others nobody
// can make old (LeafBlock::stuck).
//
// They are found by trying. What was found is believed for the next kTrustedSweeps sweeps of a
// page. Memory: 200 bytes for each 2 MiB with such pages.
class SparedPages {
 public:
  // Whether any page could be made old by clear_refs, and of which kinds those are. The latter
  // after set_files().
  [[nodiscard]] bool any_whole() const { return any_whole_; }
  [[nodiscard]] ClearPlan whole_kinds() const;

  // Which leaves of `block` are known to be spared: sets `whole`, and `unknown` of the others.
  void recall(LeafBlock& block);
  // Takes over what was found of `block` when its leaves were made old.
  void remember(const LeafBlock& block);
  // Makes unknown what the bits of `block` do not tell, but for those leaves in `noted`, which are
  // known to have been accessed. With `report` the caller reports the others.
  void judge(LeafBlock& block, const EntrySet& noted, bool report);

  // Which mappings are of files; clear_refs tells the kinds apart by that.
  void set_files(RangeList files) { files_ = std::move(files); }
  // The leaves of `block` that are young because of an access that no sweep has reported yet.
  [[nodiscard]] EntrySet not_reported(const LeafBlock& block) const;
  // Keeps in mind which leaves of `block` the first clearing of their kind makes old.
  void note_doubt(const LeafBlock& block);
  // The bits of these kinds are cleared now. After set_files().
  void note_clearing(const ClearPlan& cleared);

 private:
  static constexpr unsigned kTrustedSweeps = 8;

  struct Known {
    EntrySet never;     // nobody makes them old
    EntrySet whole;     // clear_refs does
    EntrySet reported;  // of these: accessed since the last clearing, which a sweep has told
    EntrySet doubtful;  // nobody knows when they were accessed before the first clearing
    unsigned sweeps_left = kTrustedSweeps;  // before they are tried again
  };

  // Of a lowest table one entry, by its address; of huge leaves one each, with an odd key.
  static uint64_t key_of(const LeafBlock& block, unsigned leaf);
  // Calls fn(key, leaf) for each entry that `block` may have; of a lowest table the leaf is 0.
  template <class Fn>
  static void for_each_entry(const LeafBlock& block, const Fn& fn);
  [[nodiscard]] EntrySet gather(const LeafBlock& block, EntrySet Known::*set) const;
  // The leaves of `block` whose kind was cleared at least once.
  [[nodiscard]] EntrySet cleared_once(const LeafBlock& block) const;
  [[nodiscard]] EntrySet of_files(const LeafBlock& block) const;
  // The same for an entry of known_.
  [[nodiscard]] EntrySet of_files(uint64_t key) const;

  std::unordered_map<uint64_t, Known> known_;
  RangeList files_;
  ClearPlan cleared_once_;
  bool any_whole_ = false;
};

}  // namespace damonfs
