// Regions guided by sweeps: sampling finds how hot memory is, sweeps find where the hot memory is.
#pragma once

#include <cstdint>
#include <span>
#include <stop_token>
#include <vector>

#include "core/base/clock.h"
#include "core/context.h"
#include "core/sweep.h"

namespace damonfs {

// Sweeps the memory of a context that samples do not find hot, and puts borders of regions where
// accessed and not accessed memory meet. Owned by the context's KdamondLoop, used on its thread.
// Does nothing while Context::sweep_bp is 0 or the operations have no Sweeper.
//
// A pass goes once over all regions that are not hot, of all targets, a piece of about a
// millisecond after each sampling interval, as far as the budget lasts: Context::sweep_bp of the
// time that goes by, and at the start as much as 30 s bring in, for the first pass has to make old
// what was accessed since ever. The next pass begins half a second later, and the distance between
// two grows to five seconds, so that pages that are accessed seldom are seen as well. When samples
// find heat in memory that the last pass found idle, the next one begins early; the one after that
// does not. What was not swept in the pass before, as all memory in the first one and what was hot
// then, is no evidence and is dropped: its pages may have been accessed at any time. A page counts
// as accessed when one of the last two passes found it so.
//
// A region that a pass found accessed counts as accessed in one sampling interval of each
// aggregation at least (Region::swept), so that neither its neighbours nor its age hide it. Once it
// is hot, with nine tenths of its samples accessed, the mark goes: sampling tells when it gets
// cold, and sweeps leave it alone until then. A region whose accesses cannot be told is marked as
// such.
//
// Accesses that are scattered so widely that max_nr_regions do not suffice to tell them apart leave
// no mark, unless at least a quarter of the memory in between is accessed: there, sampling alone
// counts.
//
// Costs: 2 ns a page that is read and 100 ns a page that is made old, but not of hot regions; one
// SweptRun (24 bytes) a border, with 16 * max_nr_regions of them at most.
class SweepGuide {
 public:
  SweepGuide(Context& context, const Clock& clock) : context_(context), clock_(clock) {}

  // Between check() and the next prepare(): sweeps the next piece if it may. Sampling is delayed by
  // one piece.
  void sweep_piece();

  // At an aggregation's end, before regions are merged: counts what the last passes found.
  void count_swept();

  // At an aggregation's end, after regions are merged: puts the borders that were found since the
  // last one, within max_nr_regions, marks regions, and begins a pass that is due.
  void place_borders();

 private:
  [[nodiscard]] Sweeper* sweeper() const;
  void refill(uint64_t now_ns);
  // The next cold range at or behind the cursor, in bytes; empty when the pass is over.
  [[nodiscard]] AddrRange next_cold(Target*& target);
  // Whether so many accesses in an aggregation interval leave nothing for sweeps to tell.
  [[nodiscard]] bool is_hot(uint32_t nr_accesses) const;
  // Whether samples have found heat somewhere in memory that the last pass found not accessed.
  [[nodiscard]] bool has_news() const;
  // Takes down what a piece of a pass has found.
  void keep(Target& target, AddrRange swept, std::span<const SweptRun> runs) const;
  static void mark(Region& region, SweptState swept);
  // What a region of `run`, a simplified one, is, given what was found `exact`.
  static SweptState state_of(const SweptRun& run, std::span<const SweptRun> exact);
  void place_borders_of(Target& target, size_t max_borders);
  void cut(Target& target, std::span<const SweptRun> runs, std::span<const SweptRun> exact);
  void begin_pass(uint64_t now_ns);
  // All cold memory, as of now.
  [[nodiscard]] std::vector<SweepWish> wishes() const;
  // What of `region` is memory to sweep, in bytes; empty when it is hot.
  [[nodiscard]] AddrRange cold_bytes(const Region& region) const;
  void end_pass();
  void forget();

  Context& context_;
  const Clock& clock_;
  bool active_ = false;    // has swept, so that there are marks
  bool in_pass_ = false;   // a pass is under way
  size_t target_idx_ = 0;  // the cursor: everything below was swept in this pass
  uint64_t addr_ = 0;      // bytes
  uint64_t nr_passes_ = 0;
  uint64_t next_pass_ns_ = 0;
  uint64_t early_pass_ns_ = 0;  // when the next pass may begin if there is news
  int64_t credit_ns_ = 0;       // of processor time
  uint64_t refilled_ns_ = 0;
  std::vector<SweptRun> runs_;  // of one piece
};

}  // namespace damonfs
