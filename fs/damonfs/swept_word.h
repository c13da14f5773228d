// What reports call what sweeps found of a region.
#pragma once

#include <string_view>

#include "core/region.h"

namespace damonfs {

// never (it was not swept), no (not accessed), unknown, yes (accessed).
[[nodiscard]] inline std::string_view word_of(SweptState state) {
  switch (state) {
    case SweptState::never:
      return "never";
    case SweptState::not_accessed:
      return "no";
    case SweptState::unknown:
      return "unknown";
    case SweptState::accessed:
      return "yes";
  }
  return "never";
}

}  // namespace damonfs
