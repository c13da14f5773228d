// What the backend `pte` costs a sample: one prepare() and one check() in nanoseconds, divided by
// the samples. Needs the rights that the backend needs.
#include <benchmark/benchmark.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <random>
#include <vector>

#include "core/target.h"
#include "ops/base/thread_time.h"
#include "ops/procfs/process.h"
#include "ops/pte/pte_backend.h"

namespace damonfs {
namespace {

constexpr uint64_t kPage = 4096;

// A child with memory, all of it there, that touches one page in `hot_every` when told to.
class Workload {
 public:
  Workload(uint64_t bytes, bool huge, uint64_t hot_every) : bytes_(bytes) {
    memory_ = static_cast<char*>(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    ::madvise(memory_, bytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    if (::pipe(orders_.data()) != 0 || ::pipe(answers_.data()) != 0) std::abort();
    pid_ = ::fork();
    if (pid_ == 0) work(hot_every);
    wait();
  }
  ~Workload() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    for (const int fd : {orders_[0], orders_[1], answers_[0], answers_[1]}) ::close(fd);
    ::munmap(memory_, bytes_);
  }
  Workload(const Workload&) = delete;
  Workload& operator=(const Workload&) = delete;

  void touch() {
    if (::write(orders_[1], "x", 1) == 1) wait();
  }
  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] uint64_t random_addr(std::mt19937_64& random) const {
    return reinterpret_cast<uint64_t>(memory_) + random() % bytes_;
  }

 private:
  [[noreturn]] void work(uint64_t hot_every) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (uint64_t i = 0; i < bytes_; i += kPage) memory_[i] = 1;
    char order = 0;
    while (::write(answers_[1], "x", 1) == 1 && ::read(orders_[0], &order, 1) == 1)
      for (uint64_t i = 0; hot_every != 0 && i < bytes_; i += kPage * hot_every) memory_[i] = 2;
    ::_exit(0);
  }
  void wait() {
    char answer = 0;
    if (::read(answers_[0], &answer, 1) != 1) std::abort();
  }

  uint64_t bytes_;
  char* memory_;
  std::array<int, 2> orders_{};
  std::array<int, 2> answers_{};
  pid_t pid_ = -1;
};

// Arguments: samples a batch; MiB of memory; one page in how many is touched (0: none); huge pages.
void prepare_and_check(benchmark::State& state) {
  const auto nr_samples = static_cast<size_t>(state.range(0));
  Workload workload(static_cast<uint64_t>(state.range(1)) << 20, state.range(3) != 0,
                    static_cast<uint64_t>(state.range(2)));
  auto bits = PteBackend::create(Paths{});
  auto process = Process::open(workload.pid(), Paths{});
  if (!bits || !process) return state.SkipWithError("not permitted");
  RegionPool pool;
  const Target target(pool, *process);
  std::vector<Sample> samples(nr_samples);
  std::mt19937_64 random(1);
  uint64_t prepare_ns = 0;
  uint64_t check_ns = 0;
  size_t nr_accessed = 0;
  for (auto unused : state) {
    for (Sample& sample : samples)
      sample = {.target = &target, .addr = workload.random_addr(random)};
    std::sort(samples.begin(), samples.end(),
              [](const Sample& a, const Sample& b) { return a.addr < b.addr; });
    const uint64_t begin = thread_cpu_ns();
    (*bits)->prepare(samples);
    const uint64_t prepared = thread_cpu_ns();
    workload.touch();
    const uint64_t again = thread_cpu_ns();
    (*bits)->check(samples);
    const uint64_t checked = thread_cpu_ns();
    prepare_ns += prepared - begin;
    check_ns += checked - again;
    state.SetIterationTime(static_cast<double>(prepared - begin + checked - again) * 1e-9);
    for (const Sample& sample : samples) nr_accessed += sample.accessed ? 1 : 0;
  }
  const auto all = static_cast<double>(nr_samples) * static_cast<double>(state.iterations());
  state.counters["prepare_ns"] = static_cast<double>(prepare_ns) / all;
  state.counters["check_ns"] = static_cast<double>(check_ns) / all;
  state.counters["accessed"] = static_cast<double>(nr_accessed) / all;
}

BENCHMARK(prepare_and_check)
    ->ArgNames({"samples", "MiB", "hot_every", "huge"})
    ->Args({1000, 1024, 0, 0})
    ->Args({1000, 1024, 1, 0})
    ->Args({1000, 1024, 4, 0})
    ->Args({1000, 16, 0, 0})
    ->Args({1000, 16, 1, 0})
    ->Args({1000, 1024, 0, 1})
    ->Args({1000, 1024, 1, 1})
    ->Args({100, 1024, 1, 0})
    ->Args({10000, 1024, 0, 0})
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);

void create(benchmark::State& state) {
  for (auto unused : state)
    if (!PteBackend::create(Paths{})) return state.SkipWithError("not permitted");
}
BENCHMARK(create)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace damonfs
