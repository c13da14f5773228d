// The words that stand for the values of an enumeration.
#pragma once

#include <cstddef>
#include <string_view>

namespace damonfs {

template <class Enum>
struct NoKeywords;  // never defined: an enumeration without words does not compile

// All words of an enumeration, an array of string views indexed by its values. Defined by
// specialisation, as in fs/damon/keywords.h.
template <class Enum>
inline constexpr NoKeywords<Enum> keywords{};

// The word that stands for `value`.
template <class Enum>
[[nodiscard]] constexpr std::string_view keyword_of(Enum value) {
  return keywords<Enum>[static_cast<size_t>(value)];
}

}  // namespace damonfs
