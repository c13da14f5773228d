// Arithmetic on what sweeps found.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/sweep.h"

namespace damonfs {

// `runs` of the swept range `swept`, with what lies between them, which is not resident, as
// not_accessed: together they cover `swept` and nothing else. Both in bytes, ascending.
[[nodiscard]] std::vector<SweptRun> cover(AddrRange swept, std::span<const SweptRun> runs);

// `runs` in which all that `before` calls accessed is accessed, too. Both ascend and do not
// overlap; what `runs` do not cover stays uncovered. Linear.
[[nodiscard]] std::vector<SweptRun> with_accessed_of(std::span<const SweptRun> runs,
                                                     std::span<const SweptRun> before);

// How often two neighbours that touch say different things.
[[nodiscard]] size_t nr_borders(std::span<const SweptRun> runs);

// How many bytes of `range` the ascending `runs` call accessed.
[[nodiscard]] uint64_t accessed_in(AddrRange range, std::span<const SweptRun> runs);

// The same addresses with `max_borders` borders at most, as far as that can be had without
// taking anything for colder than it is: small runs take over the state of a neighbour that is
// hotter than they (accessed over unknown over not_accessed), those of `unit` bytes first, then
// those of twice the size, and so on. O(n log(size / unit)).
[[nodiscard]] std::vector<SweptRun> simplify(std::vector<SweptRun> runs, size_t max_borders,
                                             uint64_t unit);

}  // namespace damonfs
