// Words and numbers that several formats of a report share.
#pragma once

#include <cstdint>
#include <string>

namespace damonfs {

// "2026-11-29 14:02:11 UTC".
[[nodiscard]] std::string utc_time(uint64_t time_us);
// "0", "512", "4.0K", "229M", "1.5G": five characters at most up to 999 TiB.
[[nodiscard]] std::string short_size(uint64_t bytes);
// "10s", "2min", "1h": of whole units.
[[nodiscard]] std::string short_time(uint64_t us);

}  // namespace damonfs
