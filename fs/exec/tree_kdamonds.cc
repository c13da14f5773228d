#include "fs/exec/tree_kdamonds.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <system_error>

namespace damonfs {

namespace {

namespace files = std::filesystem;

// Appends the number in the file `name` of each directory in `parent`, if it is above 0.
void read_pids(const std::string& parent, const std::string& name, std::vector<pid_t>& pids) {
  std::error_code error;
  for (files::directory_iterator entries(parent, error); !error && entries != files::end(entries);
       entries.increment(error)) {
    std::ifstream file(entries->path() / name);
    pid_t pid = 0;
    if (file >> pid && pid > 0) pids.push_back(pid);
  }
}

pid_t process_of(pid_t tid) {
  std::ifstream status(fmt::format("/proc/{}/status", tid));
  for (std::string word; status >> word;) {
    pid_t process = 0;
    if (word == "Tgid:" && status >> process) return process;
  }
  return 0;
}

}  // namespace

std::string name_of_thread(pid_t tid) {
  std::ifstream file(fmt::format("/proc/{}/comm", tid));
  std::string name;
  std::getline(file, name);
  return name;
}

std::vector<TreeKdamond> find_kdamonds(const std::string& tree) {
  std::vector<pid_t> pids;
  read_pids(tree + "/kernel/mm/damon/admin/kdamonds", "pid", pids);
  read_pids(tree + "/module", "parameters/kdamond_pid", pids);
  std::ranges::sort(pids);
  pids.erase(std::unique(pids.begin(), pids.end()), pids.end());
  std::vector<TreeKdamond> found;
  for (const pid_t pid : pids) {
    TreeKdamond kdamond{pid, process_of(pid), name_of_thread(pid)};
    if (kdamond.process > 0 && !kdamond.name.empty()) found.push_back(std::move(kdamond));
  }
  return found;
}

}  // namespace damonfs
