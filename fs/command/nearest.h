// "Did you mean": the known word that a mistyped one is nearest to.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace damonfs {

// The number of letters that are inserted, removed, replaced or swapped with their neighbour to
// make `b` of `a` (optimal string alignment distance).
[[nodiscard]] size_t edit_distance(std::string_view a, std::string_view b);

// The one of `known` that `word` is most likely a slip of: at most two edits away, and at most a
// third of its letters (one edit in short words). Empty when none is that near. The first of those
// that are equally near.
[[nodiscard]] std::string nearest(std::string_view word, std::span<const std::string> known);

// "; did you mean WORD?", or nothing when there is no nearest().
[[nodiscard]] std::string did_you_mean(std::string_view word, std::span<const std::string> known);

}  // namespace damonfs
