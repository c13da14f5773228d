// What can stand at the end of a command line, for the completion of shells.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace damonfs {

// A word that fits, and what it is, which may be empty. A plain value.
struct Candidate {
  std::string word;
  std::string what;
};

// What fits in place of the last of `words`, which follow the program's name; the last one may be
// empty or the beginning of a word. A candidate "FILE", "DIRECTORY" or "COMMAND" alone, with an
// empty `what`, stands for what the shell knows better: names of files, of directories, or another
// program's command line.
[[nodiscard]] std::vector<Candidate> complete(const CLI::App& app,
                                              std::span<const std::string> words);

// The same as text: `word`, a tab and `what`, a line each.
[[nodiscard]] std::string completion_text(const std::vector<Candidate>& candidates);

}  // namespace damonfs
