#include "fs/command/exec_program.h"

#include <unistd.h>

#include <cerrno>
#include <vector>

namespace damonfs {

int exec_program(const std::string& program, std::span<const std::string> words) {
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  ::execvp(program.c_str(), arguments.data());
  return errno;
}

}  // namespace damonfs
