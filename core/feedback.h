// The feedback loop with which DAMON tunes itself towards a goal (design.rst, "Aim-oriented
// Feedback-driven Auto-tuning").
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "core/base/arithmetic.h"

namespace damonfs {

// The next input of a loop whose `last_input` earned `score_bp`, where 10,000 is the goal:
// proportionally more below it, proportionally less above it, 10,000 at least. Inputs are in
// 1/10,000 of their unit.
[[nodiscard]] constexpr uint64_t feed_loop(uint64_t last_input, uint64_t score_bp) {
  constexpr uint64_t kGoal = 10000;
  constexpr uint64_t kMinInput = 10000;
  if (score_bp == kGoal) return last_input;
  if (score_bp >= 2 * kGoal) return kMinInput;
  const uint64_t distance = score_bp > kGoal ? score_bp - kGoal : kGoal - score_bp;
  const uint64_t step = mult_frac(last_input, distance, kGoal);
  if (score_bp < kGoal) {
    const uint64_t room = std::numeric_limits<uint64_t>::max() - last_input;
    return last_input + std::min(step, room);
  }
  return step < last_input ? std::max(last_input - step, kMinInput) : kMinInput;
}

}  // namespace damonfs
