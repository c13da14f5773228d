// What a sweep by page tables costs: processor time of all of a process's pages, a page read and a
// page made old. Needs the rights that the backend `pte` needs, and as much free memory as the
// largest process has. Larger ones are described (backend `synthetic`), which needs nothing.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <chrono>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "core/context.h"
#include "core/target.h"
#include "ops/procfs/process.h"
#include "ops/pte/pte_backend.h"
#include "ops/synthetic/synthetic_vaddr.h"
#include "tests/bench/touched_child.h"
#include "tests/bench/whole_sweep.h"
#include "tests/unit/core/virtual_clock.h"

namespace damonfs {
namespace {

uint64_t free_mib() {
  std::ifstream file("/proc/meminfo");
  for (std::string word; file >> word;) {
    uint64_t kib = 0;
    if (word == "MemAvailable:" && file >> kib) return kib >> 10;
  }
  return 0;
}

// Arguments: MiB of memory; huge pages; whether all of it is accessed before each sweep.
void sweep(benchmark::State& state) {
  const auto mib = static_cast<uint64_t>(state.range(0));
  if (free_mib() < mib + mib / 4) return state.SkipWithError("not enough free memory");
  const TouchedChild workload(mib << 20, state.range(1) != 0);
  auto bits = PteBackend::create(Paths{});
  auto process = Process::open(workload.pid(), Paths{});
  if (!bits || !process) return state.SkipWithError("not permitted");
  RegionPool pool;
  const Target target(pool, *process);
  Sweeper& sweeper = *(*bits)->sweeper();
  std::vector<SweptRun> runs;
  SweepCost all;
  std::chrono::nanoseconds wall{0};
  const auto sweep_all = [&] {
    const auto began = std::chrono::steady_clock::now();
    const auto cost = sweep_whole(sweeper, target, workload.range(), runs);
    if (!cost) return state.SkipWithError(cost.error().message.c_str());
    all += *cost;
    wall += std::chrono::steady_clock::now() - began;
    state.SetIterationTime(static_cast<double>(cost->cpu_ns) * 1e-9);
  };
  sweep_all();
  sweep_all();
  all = {};
  wall = {};
  for (auto unused : state) {
    if (state.range(2) != 0) workload.touch();
    sweep_all();
  }
  const auto ns = static_cast<double>(all.cpu_ns);
  state.counters["ns_a_page"] = ns / static_cast<double>(all.pages_read);
  state.counters["wall_ms"] = benchmark::Counter(static_cast<double>(wall.count()) * 1e-6,
                                                 benchmark::Counter::kAvgIterations);
  state.counters["made_old"] =
      static_cast<double>(all.pages_made_old) / static_cast<double>(all.pages_read);
  state.counters["max_hold_us"] = static_cast<double>(all.max_hold_ns) * 1e-3;
}

BENCHMARK(sweep)
    ->ArgNames({"MiB", "huge", "hot"})
    ->ArgsProduct({{256, 1024, 4096, 16384}, {0, 1}, {0, 1}})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

// A pass over a described process of which 64 parts of 1 MiB are accessed. What it takes to work
// that out is the time, what a real process of that size would take is `real_ms`. Args: GiB mapped.
void sweep_of_a_described_process(benchmark::State& state) {
  const uint64_t gib = static_cast<uint64_t>(state.range(0));
  std::string text = fmt::format("process 1\nmap heap 0x100000000 {}G\nphase 24h\n", gib);
  for (uint64_t i = 0; i < 64; ++i) text += fmt::format("access heap {}M 1M 200/s\n", i * gib * 16);
  const auto pattern = std::make_shared<const Pattern>(parse_pattern(text).value());
  VirtualClock clock;
  Context context(OpsId::vaddr, nullptr, /*seed=*/1);
  SyntheticVaddr operations(OpsId::vaddr, pattern, clock);
  const Target& target = context.add_target(SyntheticProcess::open(1, pattern).value());
  std::vector<SweptRun> runs;
  SweepCost all;
  for (auto unused : state) {
    clock.advance_ns(1000000000);
    all += sweep_whole(*operations.sweeper(), target, {0, uint64_t{1} << 47}, runs).value();
  }
  state.counters["real_ms"] = benchmark::Counter(static_cast<double>(all.cpu_ns) * 1e-6,
                                                 benchmark::Counter::kAvgIterations);
  state.counters["runs"] = static_cast<double>(runs.size());
}
BENCHMARK(sweep_of_a_described_process)
    ->ArgName("GiB")
    ->Arg(1)
    ->Arg(1024)
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace damonfs
