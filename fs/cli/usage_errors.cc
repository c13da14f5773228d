#include "fs/cli/usage_errors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "fs/command/nearest.h"

namespace damonfs {

namespace {

// Longer ones than that are of no use to who reads the line, and may be anything.
constexpr size_t kMaxShownWord = 64;

// A word of the user's, fit for a line.
std::string shown_word(std::string_view word) {
  std::string shown;
  for (const char c : word.substr(0, kMaxShownWord)) shown += c >= ' ' && c != 127 ? c : '?';
  return word.size() > kMaxShownWord ? shown + "..." : shown;
}

std::vector<std::string> option_names(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

std::string unexpected_word(const CLI::App& command, const std::string& word) {
  if (!word.starts_with('-')) {
    return fmt::format("'{}' is one argument too many", shown_word(word));
  }
  const std::string name = word.substr(0, word.find('='));
  return fmt::format("there is no option {}{}", shown_word(name),
                     did_you_mean(name, option_names(command)));
}

}  // namespace

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) {
    if (!command->get_group().empty()) names.push_back(command->get_name());
  }
  std::sort(names.begin(), names.end());
  return names;
}

const CLI::App* find_command(const CLI::App& app, std::string_view name) {
  for (const CLI::App* command : app.get_subcommands({})) {
    if (command->get_name() == name) return command;
  }
  return nullptr;
}

std::string usage_error(const CLI::App& app, const CLI::ParseError& error) {
  const auto given = app.get_subcommands();
  const CLI::App& command = given.empty() ? app : *given.front();
  const std::string who =
      given.empty() ? app.get_name() : app.get_name() + ' ' + command.get_name();
  std::string what = error.what();
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
    const auto extras = app.remaining(true);
    if (!extras.empty()) what = unexpected_word(command, extras.front());
  }
  std::ranges::replace(what, '\n', ' ');
  const bool advises = what.find("; ") != std::string::npos;
  if (advises) return fmt::format("{}: {}", who, what);
  return fmt::format("{}: {}; see {} --help", who, what, who);
}

std::string unknown_command(const CLI::App& app, std::string_view word) {
  const auto names = command_names(app);
  if (word.empty()) {
    return fmt::format("{}: which command? There are {}; {} help explains them", app.get_name(),
                       fmt::join(names, ", "), app.get_name());
  }
  const std::string meant = did_you_mean(word, names);
  if (!meant.empty()) {
    return fmt::format("{}: there is no command '{}'{}", app.get_name(), shown_word(word), meant);
  }
  return fmt::format("{}: there is no command '{}'; there are {}", app.get_name(), shown_word(word),
                     fmt::join(names, ", "));
}

}  // namespace damonfs
