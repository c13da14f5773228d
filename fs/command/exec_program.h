// Handing this process over to another program.
#pragma once

#include <span>
#include <string>

namespace damonfs {

// Has this process become `program`, which is looked for in PATH when it has no slash, with `words`
// as its arguments, its own name first. Returns only when it cannot, with the error of execvp(3).
int exec_program(const std::string& program, std::span<const std::string> words);

}  // namespace damonfs
