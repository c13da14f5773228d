// The unit of memory.
#pragma once

#include <cstdint>

namespace damonfs {

// Bytes of a page of the kernels in reach (x86-64).
inline constexpr uint64_t kPageSize = 4096;

}  // namespace damonfs
