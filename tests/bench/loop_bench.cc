// The fixed cost of monitoring: processor time of a kdamond's loop over one process, in real time
// at 5 ms, with as few regions as there may be. Needs the rights that the backend `pte` needs.
#include <benchmark/benchmark.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "core/kdamond_loop.h"
#include "ops/base/thread_time.h"
#include "ops/real_machine.h"

namespace damonfs {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kMemory = 64 << 20;

// A child that touches an eighth of its memory each millisecond, or nothing.
class Workload {
 public:
  explicit Workload(bool hot) : pid_(::fork()) {
    if (pid_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    auto* memory = static_cast<char*>(
        ::mmap(nullptr, kMemory, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ::madvise(memory, kMemory, MADV_NOHUGEPAGE);
    for (uint64_t i = 0; i < kMemory; i += kPage) memory[i] = 1;
    for (;;) {
      for (uint64_t i = 0; hot && i < kMemory / 8; i += kPage) memory[i] = 1;
      ::usleep(1000);
    }
  }
  ~Workload() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Workload(const Workload&) = delete;
  Workload& operator=(const Workload&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  pid_t pid_;
};

// Arguments: most regions; whether there is hot memory; budget of sweeps in 1/10,000.
void loop(benchmark::State& state) {
  const Workload workload(state.range(1) != 0);
  ::usleep(200000);
  MachineOptions options;
  options.backend = "pte";
  options.sweep_bp = static_cast<uint64_t>(state.range(2));
  const auto served = make_machine(options);
  if (!served) return state.SkipWithError(served.error().message.c_str());
  MonitoringAttrs attrs;
  attrs.min_nr_regions = 3;
  attrs.max_nr_regions = static_cast<uint64_t>(state.range(0));
  auto context = make_context(served->machine, OpsId::vaddr, ContextUse::start, attrs, 1);
  auto handle = served->machine.open_target(workload.pid(), ::getpid());
  if (!context || !handle) return state.SkipWithError("not permitted");
  (*context)->add_target(*handle);
  RequestQueue requests;
  KdamondLoop loop(**context, *served->machine.clock, requests);
  loop.start();
  for (int i = 0; i < 200; ++i) loop.run_once({});
  double seconds = 0;
  for (auto unused : state) {
    const uint64_t began = thread_cpu_ns();
    loop.run_once({});
    const double taken = static_cast<double>(thread_cpu_ns() - began) * 1e-9;
    seconds += taken;
    state.SetIterationTime(taken);
  }
  const double an_interval = seconds / static_cast<double>(state.iterations());
  state.counters["percent_of_a_processor"] = 100 * an_interval / 5e-3;
  state.counters["regions"] = static_cast<double>((*context)->nr_regions());
}

BENCHMARK(loop)
    ->ArgNames({"max_regions", "hot", "sweep_bp"})
    ->ArgsProduct({{15}, {0, 1}, {0, 100}})
    ->Args({1000, 1, 100})
    ->Iterations(1000)
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace damonfs
