#include "fs/exec/process_finders.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <sstream>
#include <system_error>

#include "fs/command/exec_program.h"

namespace damonfs {

namespace {

constexpr std::string_view kThread = "kdamond";

bool names_kdamond(std::string_view word) { return word.starts_with(kThread); }

// A name as a regular expression that matches nothing else.
std::string as_pattern(std::string_view name) {
  std::string pattern;
  for (const char c : name) {
    if (c == '.') pattern += '\\';
    pattern += c;
  }
  return pattern;
}

}  // namespace

std::string real_program(std::string_view name) {
  namespace files = std::filesystem;
  const char* path = std::getenv("PATH");
  std::istringstream directories(path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin");
  for (std::string directory; std::getline(directories, directory, ':');) {
    const std::string program = fmt::format("{}/{}", directory, name);
    std::error_code error;
    if (files::equivalent(program, "/proc/self/exe", error)) continue;
    if (::access(program.c_str(), X_OK) == 0) return program;
  }
  return {};
}

std::vector<std::string> pgrep_args(std::span<char* const> words) {
  std::vector<std::string> wanted(words.begin(), words.end());
  const auto first = wanted.begin() + 1;
  const auto kdamond = std::find_if(first, wanted.end(), names_kdamond);
  if (kdamond == wanted.end()) return wanted;
  if (base_name(wanted[0]) == "pgrep") {
    wanted.insert(first, "--lightweight");
  } else if (wanted.size() == 2) {
    wanted = {"pgrep", "--lightweight", "--exact", "--delimiter", " ", as_pattern(*kdamond)};
  }
  return wanted;
}

int run_process_finder(std::span<char* const> words) {
  const std::vector<std::string> wanted = pgrep_args(words);
  const std::string name(base_name(wanted[0]));
  const std::string program = real_program(name);
  if (program.empty()) {
    fmt::print(stderr, "{} (damonfs): this machine has no {}\n", base_name(words[0]), name);
    return 127;
  }
  const int code = exec_program(program, wanted);
  fmt::print(stderr, "{} (damonfs): cannot run {}: {}\n", name, program, strerror(code));
  return 126;
}

}  // namespace damonfs
