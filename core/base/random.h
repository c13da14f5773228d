// The pseudo-random numbers of monitoring: which page of a region is sampled, and where a region is
// split.
#pragma once

#include <cstdint>
#include <random>

#include "core/base/arithmetic.h"

namespace damonfs {

// A seeded generator that gives the same numbers on every machine. Owned by one Context, used by
// its kdamond only.
class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}

  // A number in [low, high); low when the interval is empty. Uniform but for a bias below 2^-64 of
  // the range's share (multiply-shift, D. Lemire, "Fast Random Integer Generation in an Interval",
  // 2019).
  uint64_t between(uint64_t low, uint64_t high) {
    if (high <= low) return low;
    const auto wide = static_cast<uint128>(engine_()) * (high - low);
    return low + static_cast<uint64_t>(wide >> 64);
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace damonfs
