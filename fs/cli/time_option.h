// Times as options take them.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/base/result.h"

namespace damonfs {

// `10s`, `500ms`, `1.5h`; units us, ms, s, min (m), h and d; a bare number is seconds. Nanoseconds,
// above 0. EINVAL, with an example, for anything else, or for what does not fit.
[[nodiscard]] Result<uint64_t> parse_time_option(std::string_view text);

}  // namespace damonfs
