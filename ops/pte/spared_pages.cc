#include "ops/pte/spared_pages.h"

#include <algorithm>
#include <bit>

#include "core/base/page_size.h"
#include "ops/pages/process_pages.h"

namespace damonfs {
namespace {

constexpr uint64_t kHugeKey = 1;
unsigned huge_shift() { return static_cast<unsigned>(std::countr_zero(kHugePageSize)); }

// What the entry of `leaf` holds of a set of the block's leaves: all of it, or of a huge leaf that
// one, as bit 0.
EntrySet entry_part(const LeafBlock& block, unsigned leaf, const EntrySet& set) {
  if (block.shift == kPageSize.shift()) return set;
  EntrySet part;
  if (set.test(leaf)) part.set(0);
  return part;
}

}  // namespace

uint64_t SparedPages::key_of(const LeafBlock& block, unsigned leaf) {
  return block.shift == kPageSize.shift() ? block.addr : block.addr_of(leaf) | kHugeKey;
}

template <class Fn>
void SparedPages::for_each_entry(const LeafBlock& block, const Fn& fn) {
  if (block.shift == kPageSize.shift()) return fn(block.addr, 0);
  for (unsigned leaf = block.resident.next_set(0); leaf < EntrySet::kSize;
       leaf = block.resident.next_set(leaf + 1))
    fn(key_of(block, leaf), leaf);
}

EntrySet SparedPages::gather(const LeafBlock& block, EntrySet Known::*set) const {
  EntrySet gathered;
  if (known_.empty()) return gathered;
  for_each_entry(block, [&](uint64_t key, unsigned leaf) {
    const auto known = known_.find(key);
    if (known == known_.end()) return;
    if (block.shift == kPageSize.shift())
      gathered = known->second.*set;
    else if ((known->second.*set).test(0))
      gathered.set(leaf);
  });
  return gathered;
}

void SparedPages::recall(LeafBlock& block) {
  if (known_.empty()) return;
  for_each_entry(block, [&](uint64_t key, unsigned /*leaf*/) {
    const auto known = known_.find(key);
    if (known == known_.end() || known->second.sweeps_left-- != 0) return;
    if (!known->second.reported.any() && !known->second.doubtful.any()) {
      known_.erase(known);
    } else {
      known->second.never = known->second.whole = {};
      known->second.sweeps_left = kTrustedSweeps;
    }
  });
  block.unknown |= block.young & gather(block, &Known::never);
  block.whole |= block.young & gather(block, &Known::whole);
}

void SparedPages::remember(const LeafBlock& block) {
  if (!block.stuck.any() && !block.whole.any()) return;
  any_whole_ |= block.whole.any();
  for_each_entry(block, [&](uint64_t key, unsigned leaf) {
    const EntrySet stuck = entry_part(block, leaf, block.stuck);
    const EntrySet whole = entry_part(block, leaf, block.whole);
    if (!stuck.any() && !whole.any()) return;
    Known& known = known_[key];
    known.never |= stuck;
    known.whole |= whole;
  });
}

EntrySet SparedPages::of_files(const LeafBlock& block) const {
  EntrySet files;
  const uint64_t end = block.addr_of(EntrySet::kSize);
  auto range =
      std::upper_bound(files_.begin(), files_.end(), block.addr,
                       [](uint64_t addr, const AddrRange& mapped) { return addr < mapped.end; });
  for (; range != files_.end() && range->start < end; ++range) {
    const uint64_t from = std::max(range->start, block.addr) - block.addr;
    const uint64_t to = std::min(range->end, end) - block.addr;
    const uint64_t leaf_sz = uint64_t{1} << block.shift;
    for (uint64_t leaf = from / leaf_sz; leaf < (to + leaf_sz - 1) / leaf_sz; ++leaf)
      files.set(static_cast<unsigned>(leaf));
  }
  return files;
}

EntrySet SparedPages::of_files(uint64_t key) const {
  LeafBlock block{.addr = key & ~kHugeKey, .shift = kPageSize.shift()};
  if ((key & kHugeKey) != 0) block.shift = huge_shift();
  return of_files(block);
}

ClearPlan SparedPages::whole_kinds() const {
  ClearPlan kinds;
  for (const auto& [key, known] : known_) {
    if (!known.whole.any()) continue;
    const EntrySet files = of_files(key);
    kinds.file |= (known.whole & files).any();
    kinds.anon |= known.whole.without(files).any();
    if (kinds.all()) break;
  }
  return kinds;
}

EntrySet SparedPages::cleared_once(const LeafBlock& block) const {
  if (!cleared_once_.any()) return {};
  if (cleared_once_.all()) return block.resident;
  const EntrySet files = of_files(block);
  return cleared_once_.file ? files : block.resident.without(files);
}

void SparedPages::judge(LeafBlock& block, const EntrySet& noted, bool report) {
  const EntrySet young = block.whole & block.young;
  const EntrySet doubtful = gather(block, &Known::doubtful) & block.resident;
  if (!young.any() && !doubtful.any()) return;
  const EntrySet told = (young & cleared_once(block)).without(gather(block, &Known::reported));
  block.unknown |= (young | doubtful).without(told).without(noted);
  if (!report) return;
  for_each_entry(block, [&](uint64_t key, unsigned leaf) {
    const EntrySet now = entry_part(block, leaf, told);
    const EntrySet was = entry_part(block, leaf, doubtful);
    if (!now.any() && !was.any()) return;
    Known& known = known_[key];
    known.reported |= now;
    known.doubtful = known.doubtful.without(was);
  });
}

EntrySet SparedPages::not_reported(const LeafBlock& block) const {
  const EntrySet whole = gather(block, &Known::whole);
  if (!whole.any()) return block.young;
  return block.young.without(whole.without(cleared_once(block)))
      .without(gather(block, &Known::reported));
}

void SparedPages::note_doubt(const LeafBlock& block) {
  const EntrySet doubtful =
      (gather(block, &Known::whole) & block.young).without(cleared_once(block));
  if (!doubtful.any()) return;
  for_each_entry(block, [&](uint64_t key, unsigned leaf) {
    const EntrySet now = entry_part(block, leaf, doubtful);
    if (now.any()) known_[key].doubtful |= now;
  });
}

void SparedPages::note_clearing(const ClearPlan& cleared) {
  cleared_once_.anon |= cleared.anon;
  cleared_once_.file |= cleared.file;
  for (auto& [key, known] : known_) {
    if (!known.reported.any()) continue;
    if (cleared.all()) {
      known.reported = {};
      continue;
    }
    const EntrySet files = of_files(key);
    known.reported = cleared.file ? known.reported.without(files) : known.reported & files;
  }
}

}  // namespace damonfs
