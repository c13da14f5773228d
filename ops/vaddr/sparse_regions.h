// Where to watch an address space of which most is reserved and not used.
#pragma once

#include <cstdint>
#include <span>

#include "core/ranges.h"

namespace damonfs {

// Three regions of less than this (bytes) are taken as they are.
inline constexpr uint64_t kVast = uint64_t{1} << 40;
// What is populated is watched in their place when it is less than one in so many of their bytes.
inline constexpr uint64_t kSparse = 4;

// What is `populated`, with 64 MiB on either side to grow into, as far as that is in `mappings`; in
// at most `max_ranges` ranges, for which those that lie next to each other are joined over their
// gaps. All ascend and do not overlap; bytes.
[[nodiscard]] RangeList find_sparse_regions(std::span<const AddrRange> mappings,
                                            std::span<const AddrRange> populated,
                                            size_t max_ranges);

}  // namespace damonfs
