// Wrong usage, told in one line that says what to do.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
class ParseError;
}  // namespace CLI

namespace damonfs {

// The names of the commands of `app` that users see, sorted.
[[nodiscard]] std::vector<std::string> command_names(const CLI::App& app);

// The command of that name; null when there is none.
[[nodiscard]] const CLI::App* find_command(const CLI::App& app, std::string_view name);

// "COMMAND: what is wrong; what to do", of the command of `app` that was given; no newline.
[[nodiscard]] std::string usage_error(const CLI::App& app, const CLI::ParseError& error);

// What to say of `word`, which stands where a command is wanted and is none of them; empty: there
// is no word.
[[nodiscard]] std::string unknown_command(const CLI::App& app, std::string_view word);

}  // namespace damonfs
