// Where to watch a virtual address space: all of what is mapped, none of the two vast holes that
// lie between heap, mapped files and stack.
#pragma once

#include <array>
#include <span>

#include "core/base/result.h"
#include "core/region.h"

namespace damonfs {

// The three ranges that cover all of `mappings` (ascending, not overlapping, whole pages, bytes)
// and leave out the two biggest gaps between them; of gaps alike in size the lower ones. EINVAL
// when there are fewer than two gaps. Source: Documentation/mm/damon/design.rst, "VMA-based Target
// Address Range Construction".
[[nodiscard]] Result<std::array<AddrRange, 3>> find_three_regions(
    std::span<const AddrRange> mappings);

}  // namespace damonfs
