// Integer arithmetic shared by the rules of core.
#pragma once

#include <cstdint>

namespace damonfs {

// Wide enough for any product of two 64-bit numbers; not ISO C++, but of every compiler we build
// with.
__extension__ using uint128 = unsigned __int128;

// value * numerator / denominator without overflow in between, rounded down; saturates at
// UINT64_MAX.
[[nodiscard]] constexpr uint64_t mult_frac(uint64_t value, uint64_t numerator,
                                           uint64_t denominator) {
  const auto wide = static_cast<uint128>(value) * numerator / denominator;
  return wide > UINT64_MAX ? UINT64_MAX : static_cast<uint64_t>(wide);
}

[[nodiscard]] constexpr uint64_t align_down(uint64_t value, uint64_t unit) {
  return value - value % unit;
}

// Rounds up to a multiple of `unit`; the last multiple where there is none above.
[[nodiscard]] constexpr uint64_t align_up(uint64_t value, uint64_t unit) {
  const uint64_t rest = value % unit;
  if (rest == 0) return value;
  return value > UINT64_MAX - (unit - rest) ? value - rest : value + (unit - rest);
}

}  // namespace damonfs
