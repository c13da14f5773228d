// Names of services as values of labels.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace damonfs {

// A label's value is at most so many bytes long.
inline constexpr size_t kMaxLabelBytes = 256;

// `bytes` as valid UTF-8 without control characters but newlines: what is not becomes U+FFFD, and
// what is longer than `max_bytes` (3 at least) ends in "...".
[[nodiscard]] std::string label_text(std::string_view bytes, size_t max_bytes = kMaxLabelBytes);

}  // namespace damonfs
