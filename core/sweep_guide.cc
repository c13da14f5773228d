#include "core/sweep_guide.h"

#include <algorithm>
#include <utility>

#include "core/base/arithmetic.h"
#include "core/base/page_size.h"
#include "core/sweep_runs.h"

namespace damonfs {

namespace {

constexpr uint64_t kFirstDistanceNs = 500'000'000;
constexpr uint64_t kMaxDistanceNs = 5'000'000'000;
constexpr uint64_t kStartCreditNs = 30'000'000'000;  // of time, of which the budget is a share
constexpr uint64_t kMaxCreditNs = 5'000'000'000;     // likewise: what is not used is not saved up

// Where there are too many borders, accessed and idle memory share a region: it counts as accessed
// when at least one of so many bytes is.
constexpr uint64_t kDenseShare = 4;

// A region is hot when more than so many tenths of its samples find an access. One of hot and idle
// memory has fewer accesses, and sweeps tell where the border is.
constexpr uint64_t kHotTenths = 9;

// Memory that the last pass found idle is news when more than one of so many samples finds an
// access.
constexpr uint32_t kNewsShare = 20;

int64_t share(uint64_t ns, uint64_t budget_bp) {
  return static_cast<int64_t>(mult_frac(ns, budget_bp, 10000));
}

}  // namespace

Sweeper* SweepGuide::sweeper() const {
  if (context_.sweep_bp == 0 || context_.attrs_only()) return nullptr;
  return context_.operations->sweeper();
}

bool SweepGuide::is_hot(uint32_t nr_accesses) const {
  const uint64_t max = context_.attrs.max_nr_accesses();
  return nr_accesses > 1 && uint64_t{10} * nr_accesses > kHotTenths * max;
}

void SweepGuide::refill(uint64_t now_ns) {
  if (refilled_ns_ == 0) credit_ns_ = share(kStartCreditNs, context_.sweep_bp);
  const int64_t max = std::max(credit_ns_, share(kMaxCreditNs, context_.sweep_bp));
  const int64_t earned = refilled_ns_ == 0 ? 0 : share(now_ns - refilled_ns_, context_.sweep_bp);
  credit_ns_ = std::min(credit_ns_ + earned, max);
  refilled_ns_ = now_ns;
}

AddrRange SweepGuide::cold_bytes(const Region& region) const {
  if (is_hot(region.last_nr_accesses)) return {};
  return {mult_frac(region.range.start, context_.addr_unit, 1),
          mult_frac(region.range.end, context_.addr_unit, 1)};
}

std::vector<SweepWish> SweepGuide::wishes() const {
  std::vector<SweepWish> wishes;
  for (const Target& target : context_.targets) {
    for (const Region& region : target.regions()) {
      const AddrRange bytes = cold_bytes(region);
      if (bytes.end == 0) continue;
      SweepWish* const last = wishes.empty() ? nullptr : &wishes.back();
      if (last != nullptr && last->target == &target && last->range.end == bytes.start) {
        last->range.end = bytes.end;
      } else {
        wishes.push_back({&target, bytes});
      }
    }
  }
  return wishes;
}

AddrRange SweepGuide::next_cold(Target*& target) {
  size_t idx = 0;
  for (Target& candidate : context_.targets) {
    if (idx++ < target_idx_) continue;
    AddrRange found;
    for (const Region& region : candidate.regions()) {
      const AddrRange bytes = cold_bytes(region);
      if (bytes.end <= addr_) continue;
      if (found.end == 0) {
        found = {std::max(bytes.start, addr_), bytes.end};
      } else if (found.end == bytes.start) {
        found.end = bytes.end;
      } else {
        break;
      }
    }
    if (found.end != 0) {
      target = &candidate;
      return found;
    }
    ++target_idx_;
    addr_ = 0;
  }
  return {};
}

void SweepGuide::sweep_piece() {
  Sweeper* const sweeper = this->sweeper();
  if (sweeper == nullptr) {
    if (active_) forget();
    return;
  }
  const uint64_t now_ns = clock_.now_ns();
  refill(now_ns);
  if (!active_) begin_pass(now_ns);
  active_ = true;
  if (!in_pass_ || credit_ns_ <= 0) return;
  Target* target = nullptr;
  const AddrRange range = next_cold(target);
  if (range.end == 0) return end_pass();
  runs_.clear();
  const auto piece = sweeper->sweep(*target, range, SweepMode::make_old, runs_);
  if (!piece) {  // gone, or never to be swept: the next target
    ++target_idx_;
    addr_ = 0;
    return;
  }
  credit_ns_ -= static_cast<int64_t>(piece->cost.cpu_ns);
  addr_ = piece->next;
  keep(*target, {range.start, piece->next}, runs_);
}

void SweepGuide::keep(Target& target, AddrRange swept, std::span<const SweptRun> runs) const {
  TargetSweeps& sweeps = target.sweeps;
  if (swept.start == swept.end) return;
  // A commit may have put targets in another order in the middle of a pass.
  if (!sweeps.covered.empty() && swept.start < sweeps.covered.back().start) return;
  append_merged(sweeps.covered, swept);
  if (sweeps.nr_passes == 1) return;
  for (const SweptRun& run : runs) {
    if (run.state == AccessState::unknown) sweeps.unknown_so_far += run.range.size();
  }
  std::vector<SweptRun>& found = sweeps.found;
  for (const AddrRange& part : intersect({&swept, 1}, sweeps.last_covered)) {
    for (const SweptRun& run : cover(part, runs)) append_joined(found, run);
  }
  const size_t max = std::max<size_t>(context_.attrs.max_nr_regions, 16);
  if (found.size() > 8 * max) found = simplify(std::move(found), 4 * max, kPageSize);
}

void SweepGuide::begin_pass(uint64_t now_ns) {
  in_pass_ = true;
  target_idx_ = 0;
  addr_ = 0;
  const uint64_t aggregation_ns = context_.attrs.aggr_us * 1000;
  const uint64_t distance =
      std::min(kFirstDistanceNs << std::min<uint64_t>(nr_passes_ / 2, 10), kMaxDistanceNs);
  const bool early = now_ns < next_pass_ns_;
  next_pass_ns_ = now_ns + std::max(distance, aggregation_ns);
  early_pass_ns_ = early ? next_pass_ns_ : now_ns + kFirstDistanceNs;
  for (Target& target : context_.targets) {
    ++target.sweeps.nr_passes;
    target.sweeps.unknown_bytes = std::exchange(target.sweeps.unknown_so_far, 0);
    target.sweeps.last_pass = std::move(target.sweeps.this_pass);
    target.sweeps.this_pass.clear();
    target.sweeps.last_covered = std::move(target.sweeps.covered);
    target.sweeps.covered.clear();
  }
  if (Sweeper* const sweeper = this->sweeper()) sweeper->begin_pass(wishes());
}

void SweepGuide::end_pass() {
  in_pass_ = false;
  ++nr_passes_;
}

void SweepGuide::forget() {
  active_ = in_pass_ = false;
  nr_passes_ = refilled_ns_ = 0;
  for (Target& target : context_.targets) {
    target.sweeps = {};
    for (Region& region : target.regions()) region.swept = SweptState::never;
  }
}

void SweepGuide::count_swept() {
  if (!active_) return;
  for (Target& target : context_.targets) {
    for (Region& region : target.regions()) {
      if (is_hot(region.nr_accesses)) {
        region.swept = SweptState::never;
      } else if (region.swept == SweptState::accessed) {
        region.nr_accesses = std::max<uint32_t>(region.nr_accesses, 1);
      }
    }
  }
}

void SweepGuide::place_borders() {
  if (!active_) return;
  const size_t nr_regions = context_.nr_regions();
  size_t left = context_.attrs.max_nr_regions > nr_regions
                    ? (context_.attrs.max_nr_regions - nr_regions) / 2
                    : 0;
  for (Target& target : context_.targets) {
    if (target.sweeps.found.empty()) continue;
    const size_t before = target.nr_regions();
    place_borders_of(target, left);
    left -= std::min(left, target.nr_regions() - before);
  }
  if (in_pass_) return;
  const uint64_t now_ns = clock_.now_ns();
  if (now_ns >= (has_news() ? early_pass_ns_ : next_pass_ns_)) begin_pass(now_ns);
}

bool SweepGuide::has_news() const {
  for (const Target& target : context_.targets) {
    for (const Region& region : target.regions()) {
      if (region.swept == SweptState::not_accessed &&
          region.nr_accesses > context_.attrs.max_nr_accesses() / kNewsShare)
        return true;
    }
  }
  return false;
}

void SweepGuide::place_borders_of(Target& target, size_t max_borders) {
  TargetSweeps& sweeps = target.sweeps;
  const std::vector<SweptRun> found = std::move(sweeps.found);
  sweeps.found.clear();
  for (const SweptRun& run : found) append_joined(sweeps.this_pass, run);
  const size_t max = std::max<size_t>(context_.attrs.max_nr_regions, 16);
  if (sweeps.this_pass.size() > 8 * max) {
    sweeps.this_pass = simplify(std::move(sweeps.this_pass), 4 * max, kPageSize);
  }
  const uint64_t unit = context_.min_region_sz * context_.addr_unit;
  const std::vector<SweptRun> exact = with_accessed_of(found, sweeps.last_pass);
  cut(target, simplify(exact, max_borders, unit), exact);
}

void SweepGuide::mark(Region& region, SweptState swept) {
  if (swept == SweptState::accessed && region.swept != swept && region.nr_accesses == 0) {
    region.nr_accesses = 1;
    region.age = 0;
  }
  region.swept = swept;
}

SweptState SweepGuide::state_of(const SweptRun& run, std::span<const SweptRun> exact) {
  switch (run.state) {
    case AccessState::unknown:
      return SweptState::unknown;
    case AccessState::not_accessed:
      return SweptState::not_accessed;
    case AccessState::accessed:
      break;
  }
  const bool dense = accessed_in(run.range, exact) >= run.range.size() / kDenseShare;
  return dense ? SweptState::accessed : SweptState::never;
}

void SweepGuide::cut(Target& target, std::span<const SweptRun> runs,
                     std::span<const SweptRun> exact) {
  const uint64_t unit = context_.min_region_sz;
  auto region = target.regions().begin();
  for (const SweptRun& run : runs) {
    // What is hotter takes the whole of a unit that it shares.
    const bool wide = run.state == AccessState::accessed;
    const SweptState swept = state_of(run, exact);
    const uint64_t start = run.range.start / context_.addr_unit;
    const uint64_t end = (run.range.end + context_.addr_unit - 1) / context_.addr_unit;
    const AddrRange range{wide ? align_down(start, unit) : align_up(start, unit),
                          wide ? align_up(end, unit) : align_down(end, unit)};
    while (region != target.regions().end() && region->range.end <= range.start) ++region;
    for (; region != target.regions().end() && region->range.start < range.end; ++region) {
      if (is_hot(region->nr_accesses)) continue;
      if (region->range.start < range.start) {
        target.split_region(*region, range.start - region->range.start);
        continue;  // with the right part
      }
      if (region->range.end > range.end) {
        target.split_region(*region, range.end - region->range.start);
      }
      mark(*region, swept);
    }
  }
}

}  // namespace damonfs
