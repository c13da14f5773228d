#include "core/quota.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "core/base/arithmetic.h"
#include "core/base/page_size.h"
#include "core/feedback.h"

namespace damonfs {

namespace {

constexpr uint64_t kUnlimited = std::numeric_limits<uint64_t>::max();

// The metric's value; none where it is the growth of a total that was not read before.
std::optional<uint64_t> measure(QuotaGoal& goal, Metrics& metrics) {
  switch (goal.metric) {
    case GoalMetric::user_input:
    case GoalMetric::node_eligible_mem_bp:
      return goal.current_value;
    case GoalMetric::some_mem_psi_us: {
      const uint64_t total = metrics.some_mem_psi_us();
      const auto last = std::exchange(goal.last_psi_us, total);
      if (!last) return std::nullopt;
      return total - std::min(*last, total);
    }
    case GoalMetric::node_mem_used_bp:
      return metrics.node_mem_used_bp(goal.nid);
    case GoalMetric::node_mem_free_bp:
      return 10000 - std::min<uint64_t>(metrics.node_mem_used_bp(goal.nid), 10000);
    case GoalMetric::node_memcg_used_bp:
      return metrics.node_memcg_used_bp(goal.nid, goal.path);
    case GoalMetric::node_memcg_free_bp:
      return 10000 - std::min<uint64_t>(metrics.node_memcg_used_bp(goal.nid, goal.path), 10000);
    case GoalMetric::active_mem_bp:
      return metrics.active_mem_bp();
    case GoalMetric::inactive_mem_bp:
      return 10000 - std::min<uint64_t>(metrics.active_mem_bp(), 10000);
    case GoalMetric::hugepage_mem_bp:
      return metrics.hugepage_mem_bp();
  }
  return 0;
}

}  // namespace

bool Quota::limited() const {
  return esz_ != 0 || params.bytes != 0 || params.ms != 0 || !params.goals.empty();
}

uint64_t Quota::left(uint64_t pending) const {
  const uint64_t used = charged_ + pending;
  return used < esz_ ? esz_ - used : 0;
}

bool Quota::full(uint64_t pending, uint64_t min_region_sz) const {
  return limited() && left(pending) < min_region_sz;
}

bool Quota::window_over(uint64_t now_ns) const {
  if (!limited()) return false;
  return !opened_ || now_ns - window_start_ns_ >= mult_frac(params.reset_interval_ms, 1'000'000, 1);
}

bool Quota::roll_window(uint64_t now_ns, uint64_t min_region_sz, Metrics* metrics,
                        uint64_t& qt_exceeds) {
  if (!window_over(now_ns)) return false;
  if (opened_ && full(0, min_region_sz)) ++qt_exceeds;
  opened_ = true;
  total_charged_ += std::exchange(charged_, 0);
  window_start_ns_ = now_ns;
  set_esz(min_region_sz, metrics);
  return true;
}

void Quota::charge(uint64_t sz, uint64_t sz_applied) {
  if (params.fail_charge_denom == 0 || sz_applied > sz) {
    charged_ += sz;
    return;
  }
  charged_ +=
      sz_applied + mult_frac(sz - sz_applied, params.fail_charge_num, params.fail_charge_denom);
}

void Quota::set_esz(uint64_t min_region_sz, Metrics* metrics) {
  if (params.ms == 0 && params.goals.empty()) {
    esz_ = params.bytes;
    return;
  }
  esz_ = params.goals.empty() ? kUnlimited : tune(metrics);
  if (params.ms != 0) {
    // Nothing measured yet: a page a microsecond, a start that the first window corrects.
    const uint64_t bytes_a_ms = spent_ns_ == 0 ? uint64_t{kPageSize} * 1024
                                               : mult_frac(total_charged_, 1'000'000, spent_ns_);
    esz_ = std::min(esz_, std::max(mult_frac(bytes_a_ms, params.ms, 1), min_region_sz));
  }
  if (params.bytes != 0) esz_ = std::min(esz_, params.bytes);
}

uint64_t Quota::goal_score_bp(Metrics* metrics) {
  uint64_t best = 0;
  for (QuotaGoal& goal : params.goals) {
    best = std::max(best, mult_frac(goal_value(goal, metrics), 10000, goal.target_value));
  }
  return best;
}

uint64_t Quota::goal_value(QuotaGoal& goal, Metrics* metrics) const {
  const auto measured = metrics != nullptr ? measure(goal, *metrics) : goal.current_value;
  if (!measured) {
    // A total's first reading has no effect: `consist` keeps the size, `temporal` its last
    // decision.
    const bool as_reached = params.goal_tuner == GoalTuner::consist || esz_ == 0;
    goal.current_value = as_reached ? goal.target_value : 0;
    return goal.current_value;
  }
  goal.current_value = *measured;
  return goal.complement ? complement(goal) : goal.current_value;
}

// What the goal's value lacks of its whole: of 10,000, which is all there is of what is told in
// basis points (and of what a user tells, who asks for the complement), or of the window's length.
uint64_t Quota::complement(const QuotaGoal& goal) const {
  const uint64_t whole = goal.metric == GoalMetric::some_mem_psi_us
                             ? mult_frac(params.reset_interval_ms, 1000, 1)
                             : 10000;
  return whole - std::min(goal.current_value, whole);
}

uint64_t Quota::tune(Metrics* metrics) {
  const uint64_t score = goal_score_bp(metrics);
  switch (params.goal_tuner) {
    case GoalTuner::consist:
      esz_bp_ = feed_loop(std::max<uint64_t>(esz_bp_, 10000), score);
      break;
    case GoalTuner::temporal:
      if (score >= 10000) {
        esz_bp_ = 0;
      } else {
        esz_bp_ = params.bytes != 0 ? mult_frac(params.bytes, 10000, 1) : kUnlimited;
      }
      break;
  }
  return esz_bp_ / 10000;
}

}  // namespace damonfs
