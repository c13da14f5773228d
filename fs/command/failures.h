// What went wrong, as a value or told to the user.
#pragma once

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
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

// Tells the user, who may be reading standard output as well. `who` is the command that speaks.
inline void tell(std::string_view who, std::string_view sentence) {
  std::fflush(stdout);
  fmt::print(stderr, "{}: {}\n", who, sentence);
}

// Tells the user; returns the exit status of a failure. `who` is the command that failed.
inline int complain(std::string_view sentence, std::string_view who = "damonfs") {
  fmt::print(stderr, "{}: {}\n", who, sentence);
  return 1;
}

}  // namespace damonfs
