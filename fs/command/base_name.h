// Names in paths.
#pragma once

#include <string_view>

namespace damonfs {

// What stands behind the last slash of `path`; all of it where there is none.
constexpr std::string_view base_name(std::string_view path) {
  return path.substr(path.find_last_of('/') + 1);  // npos + 1 is 0
}

}  // namespace damonfs
