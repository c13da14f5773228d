// Sizes and times that tests of all rooms speak of.
#pragma once

#include <cstdint>

namespace damonfs {

inline constexpr uint64_t kMiB = uint64_t{1} << 20;
inline constexpr uint64_t kGiB = uint64_t{1} << 30;
inline constexpr uint64_t kSecond = 1'000'000'000;  // in nanoseconds

}  // namespace damonfs
