// What physical memory costs: making a reverse map of 1 GiB that a child has mapped (time, bytes),
// making it anew, a sampling interval with 1,000 regions by `pte` and by `idle`, and a sweep of all
// its frames by `pte`. Nothing but the child is looked at. Needs the rights that the backends need.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <random>
#include <vector>

#include "core/target.h"
#include "ops/idle/idle_paddr_backend.h"
#include "ops/pages/process_pages.h"
#include "ops/pte/pte_paddr_backend.h"
#include "ops/rmap/reverse_map_scan.h"
#include "tests/bench/touched_child.h"
#include "tests/bench/whole_sweep.h"

namespace damonfs {
namespace {

constexpr uint64_t kBytes = uint64_t{1} << 30;
constexpr size_t kMaxRuns = size_t{1} << 22;
constexpr std::chrono::seconds kLong{60};

// A child that has 1 GiB, and what maps it.
struct Watched {
  explicit Watched(bool huge) : child(kBytes, huge) {}

  [[nodiscard]] std::unique_ptr<RmapSource> tables() const {
    return std::make_unique<ProcfsRmapSource>(Paths(), ProtectedList(), std::vector{child.pid()});
  }
  // What has scanned them once.
  [[nodiscard]] std::unique_ptr<RmapRefresher> keeper() const {
    auto made = RmapRefresher::create(tables(), kMaxRuns).value();
    made->refresh();
    made->wait(kLong);
    return made;
  }
  // The frames of its memory.
  [[nodiscard]] std::vector<uint64_t> frames() const {
    const auto process = Process::open(child.pid(), Paths()).value();
    Kpageflags kernel{Paths()};
    auto info = ProcessPages::open(*process, kernel);
    const AddrRange all = child.range();
    std::vector<uint64_t> found;
    for (const auto& page : info->present_pages({&all, 1})) found.push_back(page.entry.pfn());
    return found;
  }

  const TouchedChild child;
};

// Args: huge pages.
void reverse_map(benchmark::State& state) {
  const Watched watched(state.range(0) != 0);
  const auto tables = watched.tables();
  uint64_t bytes = 0;
  size_t nr_runs = 0;
  for (auto unused : state) {
    const auto scan = scan_page_tables(*tables, kMaxRuns, [] { return true; });
    if (!scan || scan->map.nr_runs() == 0) return state.SkipWithError("not permitted");
    bytes = scan->map.bytes();
    nr_runs = scan->map.nr_runs();
  }
  state.counters["bytes"] = static_cast<double>(bytes);
  state.counters["runs"] = static_cast<double>(nr_runs);
}
BENCHMARK(reverse_map)->ArgName("huge")->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond);

// A second scan and all later ones, through the keeper, which rests nine times as long as it works.
void refresh(benchmark::State& state) {
  const Watched watched(state.range(0) != 0);
  const auto keeper = watched.keeper();
  for (auto unused : state) {
    keeper->refresh();
    keeper->wait(kLong);
  }
}
BENCHMARK(refresh)->ArgName("huge")->Arg(0)->Arg(1)->UseRealTime()->Unit(benchmark::kMillisecond);

void sample(benchmark::State& state, PaddrBackend& bits, const std::vector<uint64_t>& frames) {
  std::mt19937_64 random(1);
  std::vector<FrameSample> samples(static_cast<size_t>(state.range(1)));
  for (auto unused : state) {
    state.PauseTiming();
    for (FrameSample& each : samples) each = {.frame = frames[random() % frames.size()]};
    std::ranges::sort(samples, {}, &FrameSample::frame);
    state.ResumeTiming();
    bits.prepare(samples);
    bits.check(samples);
  }
}

void sampling_by_pte(benchmark::State& state) {
  const Watched watched(state.range(0) != 0);
  const auto keeper = watched.keeper();
  const auto bits = PtePaddrBackend::create(Paths(), *keeper);
  if (!bits) return state.SkipWithError("pte does not work here");
  sample(state, **bits, watched.frames());
}
BENCHMARK(sampling_by_pte)
    ->ArgNames({"huge", "regions"})
    ->Args({0, 1000})
    ->Args({1, 1000})
    ->Unit(benchmark::kMicrosecond);

void sampling_by_idle(benchmark::State& state) {
  const Watched watched(state.range(0) != 0);
  const auto bits = IdlePaddrBackend::open(Paths());
  if (!bits) return state.SkipWithError("idle page tracking is not there");
  sample(state, **bits, watched.frames());
}
BENCHMARK(sampling_by_idle)
    ->ArgNames({"huge", "regions"})
    ->Args({0, 1000})
    ->Args({1, 1000})
    ->Unit(benchmark::kMicrosecond);

// A pass over all frames. Args: huge pages; whether all of them are accessed before each pass.
void sweep_by_pte(benchmark::State& state) {
  const Watched watched(state.range(0) != 0);
  const auto keeper = watched.keeper();
  const auto bits = PtePaddrBackend::create(Paths(), *keeper);
  if (!bits) return state.SkipWithError("pte does not work here");
  RegionPool pool;
  const Target nobody(pool, nullptr);
  constexpr AddrRange kAll{0, uint64_t{1} << 52};
  std::vector<SweptRun> runs;
  SweepCost all;
  const auto pass = [&] {
    const auto cost = sweep_whole(*(*bits)->sweeper(), nobody, kAll, runs);
    if (!cost) return state.SkipWithError(cost.error().message.c_str());
    all += *cost;
    state.SetIterationTime(static_cast<double>(cost->cpu_ns) * 1e-9);
  };
  pass();
  pass();
  all = {};
  for (auto unused : state) {
    if (state.range(1) != 0) watched.child.touch();
    pass();
  }
  const auto read = static_cast<double>(std::max<uint64_t>(all.pages_read, 1));
  state.counters["ns_a_page"] = static_cast<double>(all.cpu_ns) / read;
  state.counters["made_old"] = static_cast<double>(all.pages_made_old) / read;
}
BENCHMARK(sweep_by_pte)
    ->ArgNames({"huge", "hot"})
    ->ArgsProduct({{0, 1}, {0, 1}})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace damonfs
