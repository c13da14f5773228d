// What went wrong, as a value (core/base/failed.h) or told to the user.
#pragma once

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>

#include "core/base/failed.h"

namespace damonfs {

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
