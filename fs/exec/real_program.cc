#include "fs/exec/real_program.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <sstream>
#include <system_error>

#include "core/base/read_whole.h"
#include "fs/command/child.h"
#include "fs/mount/sys_view.h"

namespace damonfs {

namespace {

bool same_place(const std::string& one, std::string_view other) {
  std::error_code error;
  return one == other || std::filesystem::equivalent(one, other, error);
}

std::vector<std::string> directories_of(std::string_view path) {
  std::vector<std::string> directories;
  std::istringstream words{std::string(path)};
  for (std::string directory; std::getline(words, directory, ':');) {
    directories.push_back(directory.empty() ? "." : directory);
  }
  return directories;
}

}  // namespace

std::string find_behind(std::string_view name, std::string_view path, std::string_view own,
                        std::string_view fallback) {
  std::vector<std::string> directories = directories_of(path);
  const auto is_own = [&](const std::string& directory) { return same_place(directory, own); };
  const auto found = std::ranges::find_if(directories, is_own);
  if (found != directories.end()) {
    directories.erase(directories.begin(), found + 1);
  } else {
    directories = directories_of(fallback);
  }
  for (const std::string& directory : directories) {
    std::string program = fmt::format("{}/{}", directory, name);
    if (is_own(directory) || same_place(program, "/proc/self/exe")) continue;
    if (::access(program.c_str(), X_OK) == 0) return program;
  }
  return {};
}

std::string real_program(std::string_view name) {
  constexpr const char* kSystemPath =
      "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  const char* path = std::getenv("PATH");
  return find_behind(name, path != nullptr ? path : "", kViewPrograms, kSystemPath);
}

Result<ProgramOutput> run_program(const std::string& program, std::vector<std::string> words) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail(errno, "pipe: {}", strerror(errno));
  const Fd out(ends[0]);
  Fd in(ends[1]);
  words[0] = program;
  auto child = Child::start(words, {.out = in.get()});
  if (!child) return tl::unexpected(child.error());
  in = Fd();
  auto text = read_whole(out);
  const int status = child->wait();
  return text.map([&](std::string& read) { return ProgramOutput{status, std::move(read)}; });
}

}  // namespace damonfs
