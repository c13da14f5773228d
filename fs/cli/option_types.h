// What options and words of commands may be: what is wrong with another one is told by one
// sentence.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace CLI {
class App;
class Option;
class Validator;
}  // namespace CLI

namespace damonfs {

// A backend, by its name; with a file behind it where it takes one.
[[nodiscard]] CLI::Validator backend_word();

// A process that is protected, as ProtectedList has it.
[[nodiscard]] CLI::Validator protected_word();

// A pid. What else a user may have meant depends on what `command` offers, which outlives parsing.
[[nodiscard]] CLI::Validator pid_word(const CLI::App& command);

// A whole number from `least` to `most`.
[[nodiscard]] CLI::Validator whole_number(int least, int most);

// Adds an option that takes a time, as parse_time_option() has it. What it is stored in outlives
// parsing, here and in the following.
CLI::Option* add_time(CLI::App& app, const std::string& name, const std::string& description,
                      const std::function<void(uint64_t ns)>& take);
CLI::Option* add_time(CLI::App& app, const std::string& name, uint64_t& ns,
                      const std::string& description);
// The same in seconds.
CLI::Option* add_time(CLI::App& app, const std::string& name, double& seconds,
                      const std::string& description);

// Adds an option that takes a number of bytes above 0, as parse_size() has it.
CLI::Option* add_size(CLI::App& app, const std::string& name, uint64_t& bytes,
                      const std::string& description);

}  // namespace damonfs
