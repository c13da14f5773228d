// What a write followed by a read costs through the mount: by path (open, write, close, open, read,
// close), as tools do it, and with descriptors that stay open. Beside the mean time of a pair the
// counters give the median and the 99th percentile, in microseconds. A daemon of our own, another
// process, serves a tree of one file, so that nothing but the way there and back is measured;
// DAMONFS_BENCH_FILE names a file of another mount to use instead.

#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <string>
#include <vector>

#include "core/base/fd.h"
#include "fs/fuse/session.h"
#include "fs/tree/attributes.h"

namespace damonfs {

namespace {

struct Values {
  uint64_t number = 0;
};

constexpr Attribute kRows[] = {row<&Values::number>("number")};
constexpr DirectoryType kValues = {"values", kRows};

// The daemon: serves until it is told to end.
int serve(const std::string& mount_point, int ready) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  Tree tree;
  tree.root().add_child("values", kValues, std::make_shared<Values>());
  const auto session = Session::mount(tree, mount_point);
  if (!session) {
    fmt::print(stderr, "{}\n", session.error().message);
    return 1;
  }
  if (::write(ready, "r", 1) != 1) return 1;
  int signal = 0;
  sigwait(&signals, &signal);
  return 0;
}

// The daemon as its parent has it. Owned by main.
class Daemon {
 public:
  Daemon() {
    std::array<int, 2> ready{};
    if (::mkdtemp(mount_point_.data()) == nullptr || ::pipe(ready.data()) != 0) std::abort();
    pid_ = ::fork();
    if (pid_ == 0) ::_exit(serve(mount_point_, ready[1]));
    ::close(ready[1]);
    char byte = 0;
    ready_ = ::read(ready[0], &byte, 1) == 1;
    ::close(ready[0]);
  }
  ~Daemon() {
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
    ::rmdir(mount_point_.c_str());
  }
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  [[nodiscard]] bool ready() const { return ready_; }
  [[nodiscard]] std::string file() const { return mount_point_ + "/values/number"; }

 private:
  std::string mount_point_ = "/tmp/damonfs-bench.XXXXXX";
  pid_t pid_ = -1;
  bool ready_ = false;
};

std::string file_to_use;

void report(benchmark::State& state, std::vector<double>& microseconds) {
  if (microseconds.empty()) return;
  std::ranges::sort(microseconds);
  const auto at = [&](double share) {
    return microseconds[static_cast<size_t>(share * static_cast<double>(microseconds.size() - 1))];
  };
  state.counters["median_us"] = at(0.5);
  state.counters["p99_us"] = at(0.99);
}

// Times `pair` over and over; it returns whether it worked.
template <class Pair>
void measure(benchmark::State& state, Pair pair) {
  using Microseconds = std::chrono::duration<double, std::micro>;
  std::vector<double> microseconds;
  for (auto _ : state) {
    const auto before = std::chrono::steady_clock::now();
    if (!pair()) {
      state.SkipWithError("the file cannot be used");
      break;
    }
    microseconds.push_back(Microseconds(std::chrono::steady_clock::now() - before).count());
  }
  report(state, microseconds);
}

bool write_to(int fd) { return ::pwrite(fd, "42\n", 3, 0) == 3; }

bool read_from(int fd) {
  std::array<char, 64> text{};
  return ::pread(fd, text.data(), text.size(), 0) > 0;
}

void by_path(benchmark::State& state) {
  const char* path = file_to_use.c_str();
  measure(state, [path] {
    return write_to(Fd(::open(path, O_WRONLY | O_TRUNC)).get()) &&
           read_from(Fd(::open(path, O_RDONLY)).get());
  });
}
BENCHMARK(by_path)->UseRealTime()->Unit(benchmark::kMicrosecond);

void held_descriptors(benchmark::State& state) {
  const Fd writer(::open(file_to_use.c_str(), O_WRONLY));
  const Fd reader(::open(file_to_use.c_str(), O_RDONLY));
  measure(state, [&] { return write_to(writer.get()) && read_from(reader.get()); });
}
BENCHMARK(held_descriptors)->UseRealTime()->Unit(benchmark::kMicrosecond);

int run(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (const char* file = std::getenv("DAMONFS_BENCH_FILE")) {
    file_to_use = file;
    benchmark::RunSpecifiedBenchmarks();
    return 0;
  }
  const Daemon daemon;
  if (!daemon.ready()) return 1;
  file_to_use = daemon.file();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace

}  // namespace damonfs

int main(int argc, char** argv) { return damonfs::run(argc, argv); }
