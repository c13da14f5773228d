// What monitoring itself costs, without any backend of the kernel's: adjusting regions, one
// sampling interval, and memory. Run: bench_core [--benchmark_filter=...]; see BigO for how costs
// grow with regions.
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <malloc.h>

#include <cstdio>
#include <fstream>
#include <memory>
#include <string>

#include "core/adjust.h"
#include "core/kdamond_loop.h"
#include "ops/synthetic/synthetic_vaddr.h"
#include "tests/unit/core/virtual_clock.h"

namespace damonfs {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kGiB = uint64_t{1} << 30;

// Memory of which every fourth range of 64 pages is accessed; answers at no cost worth naming.
class StillOperations final : public Operations {
 public:
  void init(Context&) override {}
  void update(Context&) override {}
  void prepare(std::span<Sample>) override {}
  void check(std::span<Sample> samples) override {
    for (Sample& sample : samples) sample.accessed = sample.addr / (64 * kPage) % 4 == 0;
  }
  [[nodiscard]] bool target_valid(const Target&) override { return true; }
  void apply(const Scheme&, std::span<Application>) override {}
};

void add_equal_regions(Target& target, uint64_t start, uint64_t size, uint64_t nr_regions) {
  const uint64_t step = size / nr_regions / kPage * kPage;
  for (uint64_t i = 0; i < nr_regions; ++i) {
    target.add_region({start + i * step, start + (i + 1) * step});
  }
}

// One target of `size` bytes in `nr_regions` equal regions, which are as many as there may be.
std::unique_ptr<Context> context_with(uint64_t size, uint64_t nr_regions) {
  auto context =
      std::make_unique<Context>(OpsId::vaddr, std::make_unique<StillOperations>(), /*seed=*/1);
  context->attrs.min_nr_regions = 3;
  context->attrs.max_nr_regions = 2 * nr_regions;
  add_equal_regions(context->add_target(nullptr), 0, size, nr_regions);
  return context;
}

// The same of a described process, a quarter of whose memory is accessed at random times.
std::unique_ptr<Context> synthetic_context(uint64_t gib, uint64_t nr_regions, const Clock& clock) {
  const auto pattern = std::make_shared<const Pattern>(
      parse_pattern(fmt::format("process 1\nmap heap 0x100000000 {}G\nphase 1h\n"
                                "access heap 0 {}M 200/s\nend loop\n",
                                gib, gib * 256))
          .value());
  auto context = std::make_unique<Context>(
      OpsId::fvaddr, std::make_unique<SyntheticVaddr>(OpsId::fvaddr, pattern, clock),
      /*seed=*/1);
  add_equal_regions(context->add_target(SyntheticProcess::open(1, pattern).value()), 4 * kGiB,
                    gib * kGiB, nr_regions);
  return context;
}

// Neighbours differ by more than any threshold used here.
void count_accesses(Context& context) {
  bool hot = false;
  for (Target& target : context.targets) {
    for (Region& region : target.regions()) {
      region.nr_accesses = hot ? 20 : 0;
      hot = !hot;
    }
  }
}

// One aggregation's adjustment in a steady state: of N regions every one is split, and merging
// joins the halves again. The halves inherit their counts, so that they are alike.
void merge_and_split(benchmark::State& state, uint64_t size) {
  const auto nr_regions = static_cast<uint64_t>(state.range(0));
  const auto context = context_with(size, nr_regions);
  count_accesses(*context);
  for ([[maybe_unused]] auto _ : state) {
    context->last_nr_regions = 0;  // never in three
    split_regions(*context);
    merge_regions(*context, 2, UINT64_MAX);
  }
  if (context->nr_regions() != nr_regions) state.SkipWithError("regions did not come back");
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.SetComplexityN(state.range(0));
}

void BM_MergeAndSplit(benchmark::State& state) {
  merge_and_split(state, static_cast<uint64_t>(state.range(0)) * 16 * kPage);
}
BENCHMARK(BM_MergeAndSplit)
    ->RangeMultiplier(10)
    ->Range(1000, 1000000)
    ->Unit(benchmark::kMicrosecond)
    ->Complexity(benchmark::oN);

// The size of what is watched must not matter, only the number of regions.
void BM_MergeAndSplit1GiB(benchmark::State& state) { merge_and_split(state, kGiB); }
BENCHMARK(BM_MergeAndSplit1GiB)->Arg(1000)->Arg(10000)->Unit(benchmark::kMicrosecond);
void BM_MergeAndSplit1TiB(benchmark::State& state) { merge_and_split(state, 1024 * kGiB); }
BENCHMARK(BM_MergeAndSplit1TiB)->Arg(1000)->Arg(10000)->Unit(benchmark::kMicrosecond);

// One turn of the kdamond's loop with a number of regions that cannot change: sampling, counting,
// and every 20th time the end of an aggregation.
void run_intervals(benchmark::State& state, Context& context, Clock& clock) {
  const auto nr_regions = static_cast<uint64_t>(state.range(0));
  context.attrs.min_nr_regions = nr_regions;
  context.attrs.max_nr_regions = nr_regions;
  RequestQueue requests;
  KdamondLoop loop(context, clock, requests);
  loop.start();
  for ([[maybe_unused]] auto _ : state) loop.run_once({});
  if (context.nr_regions() != nr_regions) state.SkipWithError("the number of regions changed");
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.SetComplexityN(state.range(0));
}

void sampling_interval(benchmark::State& state, uint64_t size) {
  VirtualClock clock;
  const auto context = context_with(size, static_cast<uint64_t>(state.range(0)));
  run_intervals(state, *context, clock);
}

void BM_SamplingInterval(benchmark::State& state) { sampling_interval(state, 64 * kGiB); }
BENCHMARK(BM_SamplingInterval)
    ->RangeMultiplier(10)
    ->Range(10, 10000)
    ->Unit(benchmark::kMicrosecond)
    ->Complexity(benchmark::oN);

void BM_SamplingInterval1GiB(benchmark::State& state) { sampling_interval(state, kGiB); }
BENCHMARK(BM_SamplingInterval1GiB)->Arg(1000)->Unit(benchmark::kMicrosecond);
void BM_SamplingInterval1TiB(benchmark::State& state) { sampling_interval(state, 1024 * kGiB); }
BENCHMARK(BM_SamplingInterval1TiB)->Arg(1000)->Unit(benchmark::kMicrosecond);

// 1 GiB and 1 TiB in equally many regions, with the backend `synthetic`: the same again.
void BM_SyntheticInterval(benchmark::State& state) {
  VirtualClock clock;
  const auto context = synthetic_context(static_cast<uint64_t>(state.range(1)),
                                         static_cast<uint64_t>(state.range(0)), clock);
  run_intervals(state, *context, clock);
}
BENCHMARK(BM_SyntheticInterval)
    ->ArgNames({"regions", "GiB"})
    ->ArgsProduct({{1000, 10000}, {1, 1024}})
    ->Unit(benchmark::kMicrosecond);

// Bytes a region takes, pool and allocator included.
void BM_MemoryOfRegions(benchmark::State& state) {
  const auto nr_regions = static_cast<uint64_t>(state.range(0));
  size_t bytes = 0;
  for ([[maybe_unused]] auto _ : state) {
    const struct mallinfo2 before = mallinfo2();
    const auto context = context_with(nr_regions * kPage, nr_regions);
    const struct mallinfo2 after = mallinfo2();
    bytes = after.uordblks + after.hblkhd - before.uordblks - before.hblkhd;
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.counters["sizeof(Region)"] = sizeof(Region);
  state.counters["bytes/region"] = static_cast<double>(bytes) / static_cast<double>(nr_regions);
}
BENCHMARK(BM_MemoryOfRegions)
    ->RangeMultiplier(10)
    ->Range(1000, 1000000)
    ->Unit(benchmark::kMicrosecond);

// VmRSS of this process.
double resident_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    double kib = 0;
    if (std::sscanf(line.c_str(), "VmRSS: %lf", &kib) == 1) return kib;
  }
  return 0;
}

// Resident memory of the whole process while a context of 10,000 regions is watched (its samples
// and what an aggregation takes included), and how much more that is than without the context. Run
// it alone (--benchmark_filter=Resident): other benchmarks leave memory behind.
void BM_ResidentMemoryOf10000Regions(benchmark::State& state) {
  constexpr uint64_t kRegions = 10000;
  double before = 0;
  double with = 0;
  for ([[maybe_unused]] auto _ : state) {
    malloc_trim(0);
    before = resident_kib();
    VirtualClock clock;
    const auto context = synthetic_context(1024, kRegions, clock);
    context->attrs.min_nr_regions = kRegions;
    context->attrs.max_nr_regions = kRegions;
    RequestQueue requests;
    KdamondLoop loop(*context, clock, requests);
    loop.start();
    for (int i = 0; i < 100; ++i) loop.run_once({});
    with = resident_kib();
    if (context->nr_regions() != kRegions) state.SkipWithError("the number of regions changed");
  }
  state.counters["VmRSS_KiB"] = with;
  state.counters["more_than_without_KiB"] = with - before;
}
BENCHMARK(BM_ResidentMemoryOf10000Regions)->Iterations(1)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace damonfs

BENCHMARK_MAIN();
