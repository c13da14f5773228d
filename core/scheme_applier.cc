#include "core/scheme_applier.h"

#include <array>

#include "core/base/arithmetic.h"
#include "core/base/stop_scope.h"
#include "core/core_filters.h"
#include "core/priority.h"
#include "core/ranges.h"

namespace damonfs {

namespace {

// Large enough that system calls are few a region (operations need about ten for any number of
// adjacent ones), small enough to be forgotten soon.
constexpr size_t kBatch = 1024;

}  // namespace

bool in_pattern(const Context& context, const Scheme& scheme, const Region& region) {
  // Whether it is accessed cannot be told, so it is not cold.
  if (is_unknown(region) && scheme.params.action != Action::stat) return false;
  return scheme.params.pattern.matches(region.range.size(), context.moving_nr_accesses(region),
                                       region.age);
}

SchemeApplier::SchemeApplier(Context& context, const Clock& clock, Scheme& scheme,
                             uint32_t scheme_idx, const RequestQueue::Walking& walk)
    : context_(context), clock_(clock), scheme_(scheme), scheme_idx_(scheme_idx), walk_(walk) {}

void SchemeApplier::run() {
  begin_window();
  int target_idx = 0;
  for (Target& target : context_.targets) {
    if (context_.operations->target_valid(target)) {
      visit(target, target_idx);
    } else if (scheme_.quota.charge_target_from == &target) {
      scheme_.quota.charge_target_from = nullptr;
    }
    ++target_idx;
  }
  flush();
}

uint64_t SchemeApplier::node_eligible_mem_bp(int nid) const {
  NodeShare sum;
  for (const Target& target : context_.targets) {
    RangeList eligible;
    for (const Region& region : target.regions()) {
      if (in_pattern(context_, scheme_, region)) append_joined(eligible, region.range);
    }
    const NodeShare share = context_.operations->node_share(eligible, nid);
    sum.all += share.all;
    sum.on_node += share.on_node;
  }
  return sum.all == 0 ? 0 : mult_frac(sum.on_node, 10000, sum.all);
}

void SchemeApplier::begin_window() {
  const uint64_t now_ns = clock_.now_ns();
  if (scheme_.quota.window_over(now_ns)) {
    for (QuotaGoal& goal : scheme_.quota.params.goals) {
      if (goal.metric != GoalMetric::node_eligible_mem_bp) continue;
      goal.current_value = node_eligible_mem_bp(goal.nid);
    }
  }
  const bool rolled = scheme_.quota.roll_window(now_ns, context_.min_region_sz, context_.metrics,
                                                scheme_.stat.qt_exceeds);
  if (rolled && context_.traced()) {
    context_.trace->emit(clock_.now_ns(), EszEvent{0, scheme_idx_, scheme_.quota.esz()});
  }
  scheme_.min_score = 0;
  if (scheme_.quota.limited()) set_min_score();
}

void SchemeApplier::set_min_score() {
  std::array<uint64_t, kMaxScore + 1> histogram{};
  int target_idx = 0;
  for (Target& target : context_.targets) {
    for (Region& region : target.regions()) {
      if (!in_pattern(context_, scheme_, region) ||
          ask_core_filters(scheme_.params.filters, context_, target, target_idx, region) ==
              CoreVerdict::rejected) {
        continue;
      }
      histogram[priority_score(context_, scheme_, region)] += region.range.size();
    }
    ++target_idx;
  }
  uint64_t sum = 0;
  scheme_.min_score = kMaxScore;
  while (scheme_.min_score > 0) {
    sum += histogram[scheme_.min_score];
    if (sum >= scheme_.quota.esz()) return;
    --scheme_.min_score;
  }
}

void SchemeApplier::visit(Target& target, int target_idx) {
  for (auto region = target.regions().begin(); region != target.regions().end(); ++region) {
    const uint64_t max = scheme_.params.max_nr_snapshots;
    if (quota_full() || skip_charged(target, *region)) continue;
    if (max != 0 && scheme_.stat.nr_snapshots >= max) continue;
    if (matches(*region)) try_region(target, target_idx, *region);
    if (std::next(region) == target.regions().end()) ++scheme_.stat.nr_snapshots;
  }
}

bool SchemeApplier::skip_charged(Target& target, Region& region) {
  Quota& quota = scheme_.quota;
  if (quota.charge_target_from == nullptr) return false;
  if (quota.charge_target_from != &target) return true;
  const bool last = &region == &target.regions().back();
  if (region.range.end <= quota.charge_addr_from) {
    if (last) quota.charge_target_from = nullptr;
    return true;
  }
  if (region.range.start < quota.charge_addr_from) {
    const uint64_t unit = context_.min_region_sz;
    uint64_t done = align_down(quota.charge_addr_from - region.range.start, unit);
    if (done == 0) done = unit;
    if (region.range.size() <= done) {
      if (last) quota.charge_target_from = nullptr;
    } else {
      target.split_region(region, done);
    }
    return true;
  }
  // Behind the place where it stopped: from here on everything is open again.
  quota.charge_target_from = nullptr;
  return false;
}

bool SchemeApplier::matches(const Region& region) const {
  if (!in_pattern(context_, scheme_, region)) return false;
  return scheme_.min_score == 0 || priority_score(context_, scheme_, region) >= scheme_.min_score;
}

bool SchemeApplier::quota_full() {
  const uint64_t unit = context_.min_region_sz;
  if (!scheme_.quota.full(pending_, unit)) return false;
  // What fails may be charged less than it was taken for.
  if (batch_.empty() || scheme_.quota.params.fail_charge_denom == 0) return true;
  flush();
  return scheme_.quota.full(0, unit);
}

void SchemeApplier::try_region(Target& target, int target_idx, Region& region) {
  Quota& quota = scheme_.quota;
  if (quota.limited() && region.range.size() > quota.left(pending_)) {
    target.split_region(region, align_down(quota.left(pending_), context_.min_region_sz));
  }
  const CoreVerdict verdict =
      ask_core_filters(scheme_.params.filters, context_, target, target_idx, region);
  if (verdict == CoreVerdict::rejected) return;
  batch_.push_back(
      {.target = &target, .region = &region, .ask_ops_filters = verdict == CoreVerdict::pass});
  pending_ += region.range.size();
  if (quota.full(pending_, context_.min_region_sz)) {
    quota.charge_target_from = &target;
    quota.charge_addr_from = region.range.end;
  }
  if (batch_.size() >= kBatch) flush();
}

void SchemeApplier::trace_batch() const {
  const uint64_t now_ns = clock_.now_ns();
  // The batch is in the order of the targets.
  auto target = context_.targets.begin();
  uint64_t target_idx = 0;
  for (const Application& work : batch_) {
    for (; &*target != work.target; ++target) ++target_idx;
    const Region& region = *work.region;
    context_.trace->emit(
        now_ns, BeforeApplyEvent{.scheme_idx = scheme_idx_,
                                 .target_idx = target_idx,
                                 .start = region.range.start,
                                 .end = region.range.end,
                                 .nr_accesses = context_.moving_nr_accesses(region),
                                 .age = region.age,
                                 .nr_regions = static_cast<uint32_t>(target->nr_regions())});
  }
}

void SchemeApplier::flush() {
  if (asked_to_stop()) batch_.clear();
  if (batch_.empty()) return;
  if (context_.traced()) trace_batch();
  const uint64_t began_ns = clock_.now_ns();
  context_.operations->apply(scheme_, batch_);
  scheme_.quota.spend_ns(clock_.now_ns() - began_ns);
  SchemeStat& stat = scheme_.stat;
  for (const Application& work : batch_) {
    const uint64_t sz = work.region->range.size();
    if (walk_.visit != nullptr && scheme_.walked != walk_.id) {
      (*walk_.visit)(context_, scheme_idx_, work);
    }
    if (scheme_.quota.limited()) scheme_.quota.charge(sz, work.sz_applied);
    if (scheme_.params.action != Action::stat) work.region->age = 0;
    ++stat.nr_tried;
    stat.sz_tried += sz;
    if (work.sz_applied > 0) ++stat.nr_applied;
    stat.sz_applied += work.sz_applied;
    stat.sz_ops_filter_passed += work.sz_filter_passed;
  }
  batch_.clear();
  pending_ = 0;
  // Not stopped after all, where failures left something of the quota.
  if (!scheme_.quota.full(0, context_.min_region_sz)) scheme_.quota.charge_target_from = nullptr;
}

}  // namespace damonfs
