// Text in pieces. Unlike a stream, which takes an allocation that fails for the end of its text.
#pragma once

#include <string_view>
#include <vector>

namespace damonfs {

// What is between the `separator`s in `text`, which it points into; empty pieces, too, but for one
// at the end.
[[nodiscard]] inline std::vector<std::string_view> pieces_of(std::string_view text,
                                                             char separator) {
  std::vector<std::string_view> pieces;
  while (!text.empty()) {
    pieces.push_back(text.substr(0, text.find(separator)));
    text.remove_prefix(pieces.back().size());
    if (!text.empty()) text.remove_prefix(1);
  }
  return pieces;
}

}  // namespace damonfs
