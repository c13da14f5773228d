// The kdamonds of the tree that the command of `damonfs exec` sees, as processes to be listed.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace damonfs {

// A kdamond that runs. A plain value.
struct TreeKdamond {
  pid_t tid = 0;      // what the tree's file shows
  pid_t process = 0;  // the daemon that it is a thread of
  std::string name;   // kdamond.N
};

// Those that files of the tree at `tree` (pid of kdamonds/K, kdamond_pid of modules) name and that
// are there, ascending by tid.
[[nodiscard]] std::vector<TreeKdamond> find_kdamonds(const std::string& tree);

// The name of the thread or process `tid`, or nothing.
[[nodiscard]] std::string name_of_thread(pid_t tid);

}  // namespace damonfs
