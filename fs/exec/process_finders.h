// Programs that `damonfs exec` puts in the place of the machine's, because those cannot find what
// is ours: the kernel's kdamonds are processes, ours are threads. (perf is a matter of its own, see
// perf.h.)
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fs/exec/tree_kdamonds.h"

namespace damonfs {

// How pgrep is to print what it found. A plain value.
struct PgrepOutput {
  bool count = false;
  bool names = false;     // after each number
  bool commands = false;  // likewise, with arguments
  bool newest = false;    // of what was found only that
  bool oldest = false;
  bool quiet = false;
  std::string delimiter = "\n";
};

// A request for kdamonds: what the real pgrep is asked for in its place, which prints all numbers
// it finds, threads included, one a line; and what is to be done with them.
struct KdamondSearch {
  std::vector<std::string> words;
  PgrepOutput output;
};

// That of the arguments `words` (with the program's own name) of pgrep or pidof. No words where no
// kdamond is asked for, or in a way that is not understood: the real program's business as it is.
[[nodiscard]] KdamondSearch parse_kdamond_search(std::span<char* const> words);

// Of the numbers in `text` those that are no kdamonds of others than `ours`.
[[nodiscard]] std::vector<pid_t> without_foreign_kdamonds(std::string_view text,
                                                          std::span<const TreeKdamond> ours);

// Becomes pgrep, pidof or ps, whichever words[0] names, or does its work where kdamonds are asked
// for. Returns the exit status.
int run_process_finder(std::span<char* const> words);

}  // namespace damonfs
