// Names of processes, files and memory may hold any byte but NUL. These functions make them safe to
// print: one line, valid UTF-8, nothing that a terminal, a browser or a reader of metrics acts on.
#pragma once

#include <string>
#include <string_view>

#include "core/base/result.h"

namespace damonfs {

// For text: `\n`, `\t` and `\\` as in C; other control characters (also those of Unicode, which can
// steer a terminal) and bytes that are no UTF-8 as \xHH. The result is valid UTF-8 on one line.
[[nodiscard]] std::string escape_text(std::string_view name);

// Undoes escape_text(). EINVAL for a backslash that begins none of its sequences.
[[nodiscard]] Result<std::string> unescape_text(std::string_view text);

// For a string of JSON, without its quotes: escape_text(), then what JSON asks for. A reader of the
// JSON gets what escape_text() says.
[[nodiscard]] std::string escape_json(std::string_view name);

// For text and attribute values of HTML: escape_text(), then &, <, >, " and '.
[[nodiscard]] std::string escape_html(std::string_view name);

}  // namespace damonfs
