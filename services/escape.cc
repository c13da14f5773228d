#include "services/escape.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "core/base/utf8.h"

namespace damonfs {
namespace {

// Control characters, and the marks that turn the direction of text or break lines.
bool is_harmful(uint32_t code) {
  return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x061c ||
         (code >= 0x200e && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
         (code >= 0x2066 && code <= 0x2069) || code == 0xfeff;
}

void append_bytes(std::string& text, std::string_view bytes) {
  for (const char c : bytes) text += fmt::format("\\x{:02x}", static_cast<uint8_t>(c));
}

// The value of a hexadecimal digit; -1 for another character.
int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::string escape_text(std::string_view name) {
  std::string text;
  text.reserve(name.size());
  while (!name.empty()) {
    const Utf8Character character = first_character(name);
    const size_t size = character.size == 0 ? 1 : character.size;
    const std::string_view bytes = name.substr(0, size);
    name.remove_prefix(size);
    if (bytes == "\\") {
      text += "\\\\";
    } else if (bytes == "\n") {
      text += "\\n";
    } else if (bytes == "\t") {
      text += "\\t";
    } else if (character.size == 0 || is_harmful(character.code)) {
      append_bytes(text, bytes);
    } else {
      text += bytes;
    }
  }
  return text;
}

Result<std::string> unescape_text(std::string_view text) {
  std::string name;
  while (!text.empty()) {
    const char c = text.front();
    const char kind = text.size() > 1 ? text[1] : '\0';
    size_t taken = 1;
    if (c != '\\') {
      name += c;
    } else if (kind == 'n' || kind == 't' || kind == '\\') {
      name += kind == 'n' ? '\n' : kind == 't' ? '\t' : '\\';
      taken = 2;
    } else if (kind == 'x' && text.size() >= 4 && hex_value(text[2]) >= 0 &&
               hex_value(text[3]) >= 0) {
      name += static_cast<char>(hex_value(text[2]) * 16 + hex_value(text[3]));
      taken = 4;
    } else {
      return fail(EINVAL, "a backslash must be followed by n, t, xHH or another backslash");
    }
    text.remove_prefix(taken);
  }
  return name;
}

std::string escape_json(std::string_view name) {
  std::string json;
  for (const char c : escape_text(name)) {
    if (c == '"' || c == '\\') json += '\\';
    json += c;
  }
  return json;
}

std::string escape_html(std::string_view name) {
  std::string html;
  for (const char c : escape_text(name)) {
    switch (c) {
      case '&':
        html += "&amp;";
        break;
      case '<':
        html += "&lt;";
        break;
      case '>':
        html += "&gt;";
        break;
      case '"':
        html += "&quot;";
        break;
      case '\'':
        html += "&#39;";
        break;
      default:
        html += c;
    }
  }
  return html;
}

}  // namespace damonfs
