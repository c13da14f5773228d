// The status of kdamonds (docs/status.md) as text for people.
#pragma once

#include <string>

#include "core/base/read_json.h"

namespace damonfs {

// One line for the daemon at `mount_point` and a block for each kdamond of `status`, what
// status.json of that mount says. Throws ReadJson::exception when that is of another schema.
[[nodiscard]] std::string status_view(const std::string& mount_point, const ReadJson& status);

}  // namespace damonfs
