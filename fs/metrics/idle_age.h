// How long memory has not been accessed, in the steps that metrics have.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace damonfs {

// A step of age: memory that was not accessed for at least `seconds`, and for less than the next
// step. A plain value.
struct IdleStep {
  std::string_view name;
  uint64_t seconds;
};

// In ascending order. The first has what is accessed now, too.
inline constexpr std::array<IdleStep, 7> kIdleSteps = {
    {{"0s", 0}, {"1s", 1}, {"10s", 10}, {"1m", 60}, {"10m", 600}, {"1h", 3600}, {"1d", 86400}}};
inline constexpr size_t kNrIdleSteps = kIdleSteps.size();
// The index behind them, for memory whose accesses could not be told.
inline constexpr size_t kUnknownAge = kNrIdleSteps;
inline constexpr size_t kNrAges = kNrIdleSteps + 1;

[[nodiscard]] constexpr std::string_view age_name(size_t age) {
  return age == kUnknownAge ? "unknown" : kIdleSteps[age].name;
}

// The step of what was not accessed for `us` microseconds.
[[nodiscard]] constexpr size_t idle_step(uint64_t us) {
  constexpr uint64_t kUsPerSecond = 1'000'000;
  size_t step = 0;
  while (step + 1 < kNrIdleSteps && us >= kIdleSteps[step + 1].seconds * kUsPerSecond) ++step;
  return step;
}

}  // namespace damonfs
