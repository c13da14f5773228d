// Programs that `damonfs exec` puts in the place of the machine's, because those cannot find what
// is ours. (perf is a matter of its own, see perf.h.)
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace damonfs {

// The machine's program `name`: the first in PATH that is not this one; empty when there is none.
[[nodiscard]] std::string real_program(std::string_view name);

// The kernel's kdamonds are processes, ours are threads, which pgrep and pidof pass over unless
// told otherwise. What the arguments `words` (with the program's own name) of pgrep or pidof become
// so that they find them: those that name a kdamond ask for threads, by pgrep; all others stay.
[[nodiscard]] std::vector<std::string> pgrep_args(std::span<char* const> words);

// Becomes pgrep or pidof, whichever words[0] names, with those arguments; the exit status where it
// cannot.
int run_process_finder(std::span<char* const> words);

}  // namespace damonfs
