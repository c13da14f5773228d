// The screen of `damonfs top` as text with styles, without a terminal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "fs/top/top_model.h"

namespace damonfs {

// How a piece of text looks; what that is on a terminal is the business of whoever draws it.
enum class TopStyle { plain, title, heading, chosen, hot, warm, cold };

// A plain value. UTF-8; no control characters.
struct TopSpan {
  std::string text;
  TopStyle style = TopStyle::plain;
};
using TopLine = std::vector<TopSpan>;

// A terminal. A plain value.
struct TopTerminal {
  size_t width = 80;
  size_t height = 24;
  bool utf8 = false;
};

// The lines from the top to the bottom of the screen, `height` at most. Lines may be longer than
// the terminal is wide: whoever draws them cuts them. Columns that a narrow terminal has no room
// for are left out: first the spark line, then warm, then cold.
[[nodiscard]] std::vector<TopLine> draw_screen(const TopModel& model, const TopTerminal& terminal);

// How many rows fit on a page.
[[nodiscard]] size_t page_rows(const TopTerminal& terminal);

// "0", "512", "9.9K", "123M", "1.5G": five characters at most.
[[nodiscard]] std::string compact_size(uint64_t bytes);

}  // namespace damonfs
