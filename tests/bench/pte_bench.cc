// What the backend `pte` costs a sample: one prepare() and one check() in nanoseconds, divided by
// the samples. Needs the rights that the backend needs.
#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <vector>

#include "core/target.h"
#include "ops/base/thread_time.h"
#include "ops/procfs/process.h"
#include "ops/pte/pte_backend.h"
#include "tests/bench/touched_child.h"

namespace damonfs {
namespace {

// Arguments: samples a batch; MiB of memory; one page in how many is touched (0: none); huge pages.
void prepare_and_check(benchmark::State& state) {
  const auto nr_samples = static_cast<size_t>(state.range(0));
  const TouchedChild workload(static_cast<uint64_t>(state.range(1)) << 20, state.range(3) != 0,
                              static_cast<uint64_t>(state.range(2)));
  auto bits = PteBackend::create(Paths{});
  auto process = Process::open(workload.pid(), Paths{});
  if (!bits || !process) return state.SkipWithError("not permitted");
  RegionPool pool;
  const Target target(pool, *process);
  const AddrRange memory = workload.range();
  std::vector<Sample> samples(nr_samples);
  std::mt19937_64 random(1);
  uint64_t prepare_ns = 0;
  uint64_t check_ns = 0;
  size_t nr_accessed = 0;
  for (auto unused : state) {
    for (Sample& sample : samples)
      sample = {.target = &target, .addr = memory.start + random() % memory.size()};
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
