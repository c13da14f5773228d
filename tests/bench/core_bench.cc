// What monitoring itself costs, without any backend: adjusting regions, one sampling interval, and
// memory. Run: core_bench [--benchmark_filter=...]; see BigO for how costs grow with regions.
#include <benchmark/benchmark.h>
#include <malloc.h>

#include <memory>

#include "core/adjust.h"
#include "core/kdamond_loop.h"

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

// One target of `size` bytes in `nr_regions` equal regions, which are as many as there may be.
std::unique_ptr<Context> context_with(uint64_t size, uint64_t nr_regions) {
  auto context =
      std::make_unique<Context>(OpsId::vaddr, std::make_unique<StillOperations>(), /*seed=*/1);
  context->attrs.min_nr_regions = 3;
  context->attrs.max_nr_regions = 2 * nr_regions;
  Target& target = context->add_target(nullptr);
  const uint64_t step = size / nr_regions / kPage * kPage;
  for (uint64_t i = 0; i < nr_regions; ++i) target.add_region({i * step, (i + 1) * step});
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
void sampling_interval(benchmark::State& state, uint64_t size) {
  const auto nr_regions = static_cast<uint64_t>(state.range(0));
  const auto context = context_with(size, nr_regions);
  context->attrs.min_nr_regions = nr_regions;
  context->attrs.max_nr_regions = nr_regions;
  VirtualClock clock;
  RequestQueue requests;
  KdamondLoop loop(*context, clock, requests);
  loop.start();
  for ([[maybe_unused]] auto _ : state) loop.run_once({});
  if (context->nr_regions() != nr_regions) state.SkipWithError("the number of regions changed");
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.SetComplexityN(state.range(0));
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

}  // namespace
}  // namespace damonfs

BENCHMARK_MAIN();
