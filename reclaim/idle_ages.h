// For how long each page of a process has not been accessed, a byte a page.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "core/base/page_size.h"
#include "core/sweep.h"

namespace damonfs {

// Remembers of each resident page in which sweep it was last found accessed. Owned by a
// WorkingSet, one thread. Memory: a byte for each page of 4 KiB, in blocks of 2 MiB.
//
// A byte can tell 253 sweeps apart. When that is used up, sweeps that lie next to each other are
// taken together, but for the last 64: long ago is known less exactly.
class IdleAges {
 public:
  inline static const uint64_t kBlockSize = uint64_t{512} * kPageSize;

  // Takes over what a sweep at `now_ns`, which never goes back, found: ascending runs, as of
  // Sweeper::sweep(). What is in no run is forgotten. Pages that are new here count
  // as accessed in this sweep. Those that were unknown, and that this sweep did not find accessed,
  // count as accessed in the one before. Of what the first sweep finds nobody knows when it was
  // last accessed: it counts as accessed before that.
  void add(uint64_t now_ns, std::span<const SweptRun> runs);

  // How much of a block was accessed within some time, and how much is known. Bytes.
  struct BlockShare {
    uint64_t accessed = 0;
    uint64_t known = 0;
    uint64_t unknown = 0;
  };
  // Calls `fn` with the share of each block that was accessed in the last `number` sweeps, none of
  // which is the first.
  void visit(unsigned number,
             const std::function<void(uint64_t addr, const BlockShare&)>& fn) const;

  // Calls `fn` with each run of neighbouring pages that were last accessed in the same sweep:
  // `ago` is 1 for the last sweep, 2 for the one before, ..., kNever for none but the first;
  // nothing for pages that are unknown.
  static constexpr unsigned kNever = UINT32_MAX;
  void visit_pages(
      const std::function<void(AddrRange range, std::optional<unsigned> ago)>& fn) const;

  // The sums over all blocks. A value.
  struct Sums {
    std::vector<uint64_t> accessed;  // in the last 0, 1, ... nr_sweeps() sweeps; bytes
    uint64_t known = 0;
    uint64_t unknown = 0;
  };
  [[nodiscard]] Sums sums() const;

  // Since when the last `number` sweeps tell of accesses: how long before the last one, ns.
  // `number`: 1 to nr_sweeps().
  [[nodiscard]] uint64_t reach_ns(unsigned number) const;
  // Sweeps that are told apart, without the first.
  [[nodiscard]] unsigned nr_sweeps() const {
    return static_cast<unsigned>(std::max<size_t>(starts_.size(), kFirst + 1)) - kFirst - 1;
  }

 private:
  // Values of a page's byte: not resident, unknown, or the number of a sweep.
  static constexpr uint8_t kAbsent = 0;
  static constexpr uint8_t kUnknown = 1;
  static constexpr unsigned kFirst = 2;  // of the first sweep
  static constexpr size_t kMaxSweeps = 256;
  static constexpr size_t kKeptApart = 64;
  using Block = std::array<uint8_t, 512>;

  void join_old_sweeps();
  void erase(AddrRange range);
  void note(const SweptRun& run);
  [[nodiscard]] uint8_t current() const { return static_cast<uint8_t>(starts_.size() - 1); }

  std::map<uint64_t, Block> blocks_;  // by address
  // Since when a sweep tells of accesses, by its number: since the one before it.
  std::vector<uint64_t> starts_ = std::vector<uint64_t>(kFirst, 0);
  uint64_t now_ns_ = 0;
};

}  // namespace damonfs
