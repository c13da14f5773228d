// The words of pattern files (pattern.h): numbers with units.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "core/base/result.h"

namespace damonfs {

// The words of a line, which end at blanks; none from `#` on. They point into `line`.
[[nodiscard]] std::vector<std::string_view> split_words(std::string_view line);

// Each EINVAL, with the word, for what is of no such form or does not fit.

// `123`, `0x7b`.
[[nodiscard]] Result<uint64_t> parse_number(std::string_view word);
// The same with K, M, G or T: bytes.
[[nodiscard]] Result<uint64_t> parse_size(std::string_view word);
// `10s`; us, ms, s, min and h: nanoseconds.
[[nodiscard]] Result<uint64_t> parse_duration_ns(std::string_view word);

}  // namespace damonfs
