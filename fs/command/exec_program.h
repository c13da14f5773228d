// Names of programs, and handing this process over to another one.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace damonfs {

// What stands behind the last slash of `path`; all of it where there is none.
constexpr std::string_view base_name(std::string_view path) {
  return path.substr(path.find_last_of('/') + 1);  // npos + 1 is 0
}

// Has this process become `program`, which is looked for in PATH when it has no slash, with `words`
// as its arguments, its own name first. Returns only when it cannot, with the error of execvp(3).
int exec_program(const std::string& program, std::span<const std::string> words);

}  // namespace damonfs
