// What it costs to read all regions of a kdamond in one file (MOUNT/damonfs/kdamonds/0/regions and
// regions.json): open, read to the end, close. A daemon of our own watches a described process with
// 100,000 to 200,000 regions. The counters give how many regions there were, the bytes read, and
// the median and the longest time in milliseconds.

#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "core/base/fd.h"

namespace damonfs {

namespace {

constexpr const char* kPattern =
    "process *\n"
    "  map program 0x400000 2M\n"
    "  map heap 0x10000000 64G\n"
    "  map stack 0x7ff000000000 128K\n"
    "  phase 1s\n"
    "    access heap 0 1G always\n";
constexpr const char* kMinRegions = "100000";
constexpr const char* kMaxRegions = "200000";

bool write_to(const std::string& path, const std::string& text) {
  const Fd file(::open(path.c_str(), O_WRONLY));
  return ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

// A daemon, another process, whose kdamond 0 has so many regions. Owned by run().
class Daemon {
 public:
  Daemon() {
    if (::mkdtemp(directory_.data()) == nullptr) std::abort();
    const std::string backend = "synthetic:" + directory_ + "/pattern";
    std::ofstream(directory_ + "/pattern") << kPattern;
    std::filesystem::create_directory(mount());
    const auto self = std::filesystem::read_symlink("/proc/self/exe");
    const std::string program = self.parent_path().parent_path() / "damonfs";
    pid_ = ::fork();
    if (pid_ != 0) return;
    ::execl(program.c_str(), "damonfs", "mount", mount().c_str(), "--foreground", "--backend",
            backend.c_str(), "--log-level", "error", nullptr);
    ::_exit(127);
  }
  ~Daemon() {
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
    std::filesystem::remove_all(directory_);
  }
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  [[nodiscard]] std::string mount() const { return directory_ + "/mnt"; }

  // Switches the kdamond on, with samples that are far apart: what is measured is the reading.
  [[nodiscard]] bool start() const {
    const std::string kdamonds = mount() + "/kernel/mm/damon/admin/kdamonds/";
    for (int tries = 0; ::access((kdamonds + "nr_kdamonds").c_str(), F_OK) != 0; ++tries) {
      if (tries == 3000) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    const std::string attrs = kdamonds + "0/contexts/0/monitoring_attrs/";
    const std::string targets = kdamonds + "0/contexts/0/targets/";
    return write_to(kdamonds + "nr_kdamonds", "1") &&
           write_to(kdamonds + "0/contexts/nr_contexts", "1") &&
           write_to(attrs + "nr_regions/max", kMaxRegions) &&
           write_to(attrs + "nr_regions/min", kMinRegions) &&
           write_to(attrs + "intervals/aggr_us", "2000000") &&
           write_to(attrs + "intervals/sample_us", "200000") &&
           write_to(targets + "nr_targets", "1") && write_to(targets + "0/pid_target", "1") &&
           write_to(kdamonds + "0/state", "on");
  }

 private:
  std::string directory_ = "/tmp/damonfs-bench.XXXXXX";
  pid_t pid_ = -1;
};

std::string directory_of_files;

// The whole text of a file of the tree; empty when it cannot be read.
size_t read_whole(const std::string& path, std::vector<char>& text) {
  const Fd file(::open(path.c_str(), O_RDONLY));
  size_t size = 0;
  while (true) {
    if (text.size() < size + (1 << 20)) text.resize(2 * text.size() + (1 << 20));
    const ssize_t more = ::read(file.get(), text.data() + size, 1 << 20);
    if (more <= 0) return more == 0 ? size : 0;
    size += static_cast<size_t>(more);
  }
}

void read_file(benchmark::State& state, const char* name) {
  using Milliseconds = std::chrono::duration<double, std::milli>;
  const std::string path = directory_of_files + name;
  std::vector<double> times;
  std::vector<char> text;
  size_t size = 0;
  for (auto _ : state) {
    const auto before = std::chrono::steady_clock::now();
    size = read_whole(path, text);
    times.push_back(Milliseconds(std::chrono::steady_clock::now() - before).count());
    if (size == 0) {
      state.SkipWithError("the file cannot be read");
      return;
    }
  }
  std::sort(times.begin(), times.end());
  const auto end = text.begin() + static_cast<long>(size);
  state.counters["lines"] = static_cast<double>(std::count(text.begin(), end, '\n'));
  state.counters["bytes"] = static_cast<double>(size);
  state.counters["median_ms"] = times[times.size() / 2];
  state.counters["max_ms"] = times.back();
}
BENCHMARK_CAPTURE(read_file, regions, "regions")->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(read_file, regions_json, "regions.json")
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

int run(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  const Daemon daemon;
  if (!daemon.start()) return 1;
  directory_of_files = daemon.mount() + "/damonfs/kdamonds/0/";
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace

}  // namespace damonfs

int main(int argc, char** argv) { return damonfs::run(argc, argv); }
