// Sweeps of described processes.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <vector>

#include "core/sweep.h"
#include "ops/synthetic/residency.h"
#include "ops/synthetic/synthetic_play.h"

namespace damonfs {

// Sweeps a pattern's processes. A leaf was accessed since it was last swept with the probability
// that the pattern gives for that time, by a draw that depends on nothing but the seed, the
// process, the leaf and the time of the sweep: a run in virtual time is the same each time. Memory
// that is never or certainly accessed takes no work by the page. Costs are those that the backend
// `pte` was measured to have. Owned by what watches the pattern, same thread; `play` outlives it.
class SyntheticSweeper final : public Sweeper {
 public:
  explicit SyntheticSweeper(SyntheticPlay& play) : play_(&play) {}

  Result<SweepPiece> sweep(const Target& target, AddrRange range, SweepMode mode,
                           std::vector<SweptRun>& runs) override;
  // The same of the process with that number.
  SweepPiece sweep_process(pid_t pid, AddrRange range, SweepMode mode, std::vector<SweptRun>& runs);
  Result<std::vector<AddrRange>> populated(const Target& target) override;

 private:
  // When the memory from an address on, up to the next entry, was last made old; ns of the pattern.
  using Times = std::map<uint64_t, uint64_t>;

  // Leaves of one piece of memory that were last made old at the same time.
  struct Leaves {
    pid_t pid;
    AddrRange range;  // whole leaves
    uint64_t leaf_sz;
    double out;     // share that is paged out
    double chance;  // of each to have been accessed
    uint64_t now_ns;
    bool unknown;
  };
  static void set_time(Times& times, AddrRange range, uint64_t now_ns);
  // Appends what is known of the leaves; returns where it stopped, for there were many to draw.
  uint64_t add(const Leaves& leaves, uint64_t& draws_left, SweepPiece& piece,
               std::vector<SweptRun>& runs) const;

  SyntheticPlay* play_;
  std::map<pid_t, Times> times_;
};

}  // namespace damonfs
