#include "fs/metrics/label_text.h"

#include <algorithm>
#include <cstdint>

namespace damonfs {

namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";
constexpr std::string_view kEllipsis = "...";

// The length of the well-formed character (RFC 3629) that `text` begins with; 0 when it begins with
// none.
size_t character_size(std::string_view text) {
  const auto byte = [text](size_t i) { return static_cast<uint8_t>(text[i]); };
  if (byte(0) < 0x80) return 1;
  const size_t size = byte(0) >= 0xf0 ? 4 : byte(0) >= 0xe0 ? 3 : 2;
  if (byte(0) < 0xc2 || byte(0) > 0xf4 || text.size() < size) return 0;
  for (size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  // Overlong forms, surrogates, and what is beyond Unicode.
  const bool wrong = (byte(0) == 0xe0 && byte(1) < 0xa0) || (byte(0) == 0xed && byte(1) > 0x9f) ||
                     (byte(0) == 0xf0 && byte(1) < 0x90) || (byte(0) == 0xf4 && byte(1) > 0x8f);
  return wrong ? 0 : size;
}

bool is_control(char c) {
  const auto byte = static_cast<uint8_t>(c);
  return (byte < 0x20 && c != '\n') || byte == 0x7f;
}

}  // namespace

std::string label_text(std::string_view bytes, size_t max_bytes) {
  std::string text;
  while (!bytes.empty()) {
    const size_t size = character_size(bytes);
    const bool good = size > 0 && !is_control(bytes.front());
    const std::string_view next = good ? bytes.substr(0, size) : kReplacement;
    if (text.size() + next.size() > max_bytes) {
      // Whole characters go until the end fits.
      while (text.size() + kEllipsis.size() > max_bytes) {
        while ((static_cast<uint8_t>(text.back()) & 0xc0) == 0x80) text.pop_back();
        text.pop_back();
      }
      return text.append(kEllipsis);
    }
    text += next;
    bytes.remove_prefix(std::max<size_t>(size, 1));
  }
  return text;
}

}  // namespace damonfs
