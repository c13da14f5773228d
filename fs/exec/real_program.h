// The machine's programs behind those that `damonfs exec` puts in their place.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"

namespace damonfs {

// The machine's program `name`: the first of the directories of `path` (as in PATH) that lie behind
// `own`, where this program stands in for it. A stand-in that was called by its path while `own` is
// not in `path` must not look there, for a wrapper may have called it: `fallback` then. Empty when
// there is none.
[[nodiscard]] std::string find_behind(std::string_view name, std::string_view path,
                                      std::string_view own, std::string_view fallback);
// The same by this process's PATH, its place in the view and the system's own path.
[[nodiscard]] std::string real_program(std::string_view name);

// What a program has written to its standard output, and its exit status.
struct ProgramOutput {
  int status = 0;
  std::string text;
};
// Runs `program`, with the name and arguments `words`, to its end.
Result<ProgramOutput> run_program(const std::string& program, std::vector<std::string> words);

}  // namespace damonfs
