// What one look for the processes of a service costs (services/member_finder.h), with 500 processes
// of ours: by tree, by name, by pids, and by a cgroup where one can be made. The follower looks
// twice a second at most; the counter says how much of a processor that is.

#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

#include "ops/base/thread_time.h"
#include "services/member_finder.h"
#include "services/memory_names.h"

namespace damonfs {
namespace {

constexpr int kProcesses = 500;

// Children that sleep, in a cgroup of their own where that can be made.
class Crowd {
 public:
  Crowd() {
    for (const char* root : {"/sys/fs/cgroup", "/sys/fs/cgroup/pids", "/sys/fs/cgroup/unified"}) {
      const std::string folder = fmt::format("{}/damonfs-bench-{}", root, ::getpid());
      if (::access(fmt::format("{}/cgroup.procs", root).c_str(), F_OK) != 0) continue;
      if (::mkdir(folder.c_str(), 0755) != 0) continue;
      folder_ = folder;
      path_ = folder.substr(folder.rfind('/'));
      break;
    }
    for (int i = 0; i < kProcesses; ++i) {
      const pid_t pid = ::fork();
      if (pid == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ::prctl(PR_SET_NAME, "damonfs-crowd");
        for (;;) ::pause();
      }
      pids_.push_back(pid);
      if (!folder_.empty()) std::ofstream(folder_ + "/cgroup.procs") << pid;
    }
  }
  ~Crowd() {
    for (const pid_t pid : pids_) ::kill(pid, SIGKILL);
    for (const pid_t pid : pids_) ::waitpid(pid, nullptr, 0);
    if (!folder_.empty()) ::rmdir(folder_.c_str());
  }
  Crowd(const Crowd&) = delete;
  Crowd& operator=(const Crowd&) = delete;

  [[nodiscard]] const std::vector<pid_t>& pids() const { return pids_; }
  // Of the cgroup; empty for none.
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::vector<pid_t> pids_;
  std::string folder_;
  std::string path_;
};

// Looks again and again.
void look(benchmark::State& state, const Result<Selector>& selector) {
  if (!selector) return state.SkipWithError(selector.error().message.c_str());
  MemberFinder finder(*selector);
  size_t found = finder.find(10000).processes.size();
  const uint64_t began = thread_cpu_ns();
  size_t looks = 0;
  for (auto _ : state) {
    found = finder.find(10000).processes.size();
    ++looks;
  }
  const double each =
      static_cast<double>(thread_cpu_ns() - began) * 1e-9 / static_cast<double>(looks);
  state.counters["processes"] = static_cast<double>(found);
  state.counters["cpu_percent_at_2_a_second"] = 200 * each;
}

void by_tree(benchmark::State& state) {
  const Crowd crowd;
  look(state, tree_selector(::getpid()));
}
void by_comm(benchmark::State& state) {
  const Crowd crowd;
  look(state, comm_selector("damonfs-crowd"));
}
void by_pids(benchmark::State& state) {
  const Crowd crowd;
  look(state, pids_selector(crowd.pids()));
}
void by_cgroup(benchmark::State& state) {
  const Crowd crowd;
  if (crowd.path().empty()) return state.SkipWithError("no cgroup can be made here");
  look(state, cgroup_selector(crowd.path()));
}
// Names of the memory of all of them, as a report reads them anew.
void names(benchmark::State& state) {
  const Crowd crowd;
  std::vector<MemoryNames> all;
  for (const pid_t pid : crowd.pids()) all.emplace_back(pid);
  for (auto _ : state) {
    for (MemoryNames& process : all) benchmark::DoNotOptimize(process.update().has_value());
  }
}

BENCHMARK(by_cgroup)->Unit(benchmark::kMicrosecond);
BENCHMARK(by_tree)->Unit(benchmark::kMicrosecond);
BENCHMARK(by_comm)->Unit(benchmark::kMicrosecond);
BENCHMARK(by_pids)->Unit(benchmark::kMicrosecond);
BENCHMARK(names)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace damonfs
