// ps of the command of `damonfs exec`. The kernel's kdamonds are processes that ps lists; ours are
// threads, which it lists only beside all others of their process.
#pragma once

#include <sys/types.h>

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fs/exec/tree_kdamonds.h"

namespace damonfs {

// What ps is asked for, as far as kdamonds can be in it. A plain value.
struct PsRequest {
  bool all = false;                // every process
  std::vector<pid_t> pids;         // these
  std::vector<std::string> names;  // those of such a name
  std::string format;              // of columns, as behind -o
  bool header = true;
};

// That of the arguments `words` (with the program's own name); nothing where it asks for neither,
// or in a way that is not understood.
[[nodiscard]] std::optional<PsRequest> parse_ps(std::span<const std::string> words);

// `format` with the numbers and names of threads in the place of those of their processes.
[[nodiscard]] std::string format_for_threads(std::string_view format);

// Of what `ps -L -o lwp= -o FORMAT` has printed the lines of the threads `wanted`, and the headers,
// each without its first column.
[[nodiscard]] std::string pick_threads(std::string_view text, std::span<const pid_t> wanted,
                                       bool header);

// Does the work of ps, the machine's `program`, where kdamonds of the tree are in what is asked
// for; the exit status, or nothing where they are not.
std::optional<int> run_ps(const std::string& program, const std::vector<std::string>& words);

}  // namespace damonfs
