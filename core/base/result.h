// Errors as values. Every function that can fail on input or on the outside world returns a Result;
// exceptions are left to programming errors and to memory exhaustion.
#pragma once

#include <fmt/format.h>

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace damonfs {

// What went wrong. `code` is an errno (positive) and goes to whoever wrote the file; `message` is
// one sentence and goes to the log. Plain value, no thread rules.
struct Error {
  int code = 0;
  std::string message;
};

template <class T = void>
using Result = tl::expected<T, Error>;

// Makes the error half of a Result: `return fail(EINVAL, "end {:#x} is not above start {:#x}", end,
// start);`
template <class... Args>
[[nodiscard]] tl::unexpected<Error> fail(int code, fmt::format_string<Args...> format,
                                         Args&&... args) {
  return tl::unexpected<Error>(Error{code, fmt::format(format, std::forward<Args>(args)...)});
}

}  // namespace damonfs
