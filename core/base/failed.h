// System calls that failed, as values.
#pragma once

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>

#include "core/base/result.h"

namespace damonfs {

// The system call that has just failed, as errno has it: "WHAT: No such file or directory".
[[nodiscard]] inline tl::unexpected<Error> failed(std::string_view what) {
  const int code = errno;
  return fail(code, "{}: {}", what, strerror(code));
}

// The same: "cannot WHAT PATH: No such file or directory".
[[nodiscard]] inline tl::unexpected<Error> failed(std::string_view what, const std::string& path) {
  const int code = errno;
  return fail(code, "cannot {} {}: {}", what, path, strerror(code));
}

}  // namespace damonfs
