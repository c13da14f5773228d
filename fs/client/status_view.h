// The status of kdamonds (docs/status.md) as text for people.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace damonfs {

// One line for the daemon at `mount_point` and a block for each kdamond of `status`, what
// status.json of that mount says. Throws nlohmann::json::exception when that is of another schema.
[[nodiscard]] std::string status_view(const std::string& mount_point,
                                      const nlohmann::ordered_json& status);

}  // namespace damonfs
