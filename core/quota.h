// Quotas: how much of a scheme's work may be done a time window, by size and by time, and how goals
// tune that (design.rst, "Quotas", "Aim-oriented Feedback-driven Auto-tuning").
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/metrics.h"

namespace damonfs {

class Target;

// What a quota goal measures, in the order of the tree's keywords.
enum class GoalMetric {
  user_input,
  some_mem_psi_us,
  node_mem_used_bp,
  node_mem_free_bp,
  node_memcg_used_bp,
  node_memcg_free_bp,
  active_mem_bp,
  inactive_mem_bp,
  node_eligible_mem_bp,
  hugepage_mem_bp,
};

// How goals move the quota: `consist` by proportional steps, `temporal` to all or nothing.
enum class GoalTuner { consist, temporal };

// One goal: that the metric reaches target_value. Values in the metric's unit.
struct QuotaGoal {
  GoalMetric metric = GoalMetric::user_input;
  uint64_t target_value = 0;
  uint64_t current_value = 0;  // user_input: as written; otherwise as last measured
  int nid = 0;
  bool complement = false;  // what the metric lacks of its whole is to reach target_value
  std::string path;         // memory cgroup of node_memcg_*
  // some_mem_psi_us: total at the last reading, if any
  std::optional<uint64_t> last_psi_us = std::nullopt;
};

// What a user says of a quota; a plain value. 0 means no limit (ms, bytes), a window a round
// (reset_interval_ms).
struct QuotaParams {
  uint64_t ms = 0;                 // time to spend a window
  uint64_t bytes = 0;              // memory to try a window
  uint64_t reset_interval_ms = 0;  // length of a window
  uint32_t sz_permil = 0;          // weights of the priority, in 1/1,000
  uint32_t nr_accesses_permil = 0;
  uint32_t age_permil = 0;
  uint32_t fail_charge_num =
      0;  // share of failed bytes that is charged; all while the denominator is 0
  uint32_t fail_charge_denom = 0;
  GoalTuner goal_tuner = GoalTuner::consist;
  std::vector<QuotaGoal> goals;
};

// A quota at work. Inside its Scheme, same thread rule.
class Quota {
 public:
  QuotaParams params;

  // Whether anything limits the scheme.
  [[nodiscard]] bool limited() const;
  // Whether nothing more of at least `min_region_sz` may be tried in this window, `pending` bytes
  // being on their way.
  [[nodiscard]] bool full(uint64_t pending, uint64_t min_region_sz) const;
  // Bytes that may still be tried in this window.
  [[nodiscard]] uint64_t left(uint64_t pending) const;

  // Whether roll_window() would open a new window at `now_ns`.
  [[nodiscard]] bool window_over(uint64_t now_ns) const;
  // Opens a new window when the running one is over at `now_ns`, which it returns; counts in
  // `qt_exceeds` one that was used up. Measures the goals by `metrics`, if any, but for
  // node_eligible_mem_bp, which depends on the scheme's regions: its current_value is taken as it
  // is.
  bool roll_window(uint64_t now_ns, uint64_t min_region_sz, Metrics* metrics, uint64_t& qt_exceeds);
  // Charges an action that tried `sz` bytes and really changed `sz_applied`.
  void charge(uint64_t sz, uint64_t sz_applied);
  // Remembers time that actions took, from which the time quota's size follows.
  void spend_ns(uint64_t ns) { spent_ns_ += ns; }

  // Bytes that may be tried a window, after time quota and goals; `effective_bytes` of the tree.
  [[nodiscard]] uint64_t esz() const { return esz_; }

  // Where a full quota stopped: the next rounds go on behind it.
  const Target* charge_target_from = nullptr;
  uint64_t charge_addr_from = 0;

 private:
  void set_esz(uint64_t min_region_sz, Metrics* metrics);
  uint64_t goal_score_bp(Metrics* metrics);
  // Measures the goal and returns what is held against its target.
  uint64_t goal_value(QuotaGoal& goal, Metrics* metrics) const;
  [[nodiscard]] uint64_t complement(const QuotaGoal& goal) const;
  uint64_t tune(Metrics* metrics);

  uint64_t esz_ = 0;
  bool opened_ = false;
  uint64_t window_start_ns_ = 0;
  uint64_t charged_ = 0;        // bytes, in this window
  uint64_t total_charged_ = 0;  // bytes, in all windows before
  uint64_t spent_ns_ = 0;
  uint64_t esz_bp_ = 0;  // size that goals led to, in 1/10,000 bytes
};

}  // namespace damonfs
