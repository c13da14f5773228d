// What it costs to act on many regions: time and system calls a region.
//
// All system calls, those that look at the process included:
//   strace -c -f BUILD/tests/bench_actions --benchmark_filter='cold/1/1024'
//   --benchmark_min_time=...
#include <benchmark/benchmark.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <memory>
#include <vector>

#include "core/target.h"
#include "ops/vaddr/vaddr_actions.h"

namespace damonfs {
namespace {

constexpr size_t kRegions = 10000;
constexpr uint64_t kPagesARegion = 4;

// A process with memory of which all is there.
class Sleeper {
 public:
  Sleeper() {
    const uint64_t size = 2 * kRegions * kPagesARegion * kPageSize;
    at_ = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    madvise(at_, size, MADV_NOHUGEPAGE);
    pid_ = fork();
    if (pid_ != 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (uint64_t i = 0; i < size; i += kPageSize) static_cast<char*>(at_)[i] = 1;
    raise(SIGSTOP);
    _exit(0);
  }
  ~Sleeper() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  Sleeper(const Sleeper&) = delete;
  Sleeper& operator=(const Sleeper&) = delete;

  [[nodiscard]] std::shared_ptr<Process> process() const {
    int status = 0;
    waitpid(pid_, &status, WUNTRACED);
    return Process::open(pid_, Paths()).value();
  }
  [[nodiscard]] uint64_t at() const { return reinterpret_cast<uint64_t>(at_); }

 private:
  void* at_;
  pid_t pid_;
};

class CountingCalls final : public ActionCalls {
 public:
  explicit CountingCalls(size_t& count) : count_(count) {}
  int64_t advise(int pidfd, std::span<const iovec> ranges, int advice) override {
    ++count_;
    return ActionCalls::advise(pidfd, ranges, advice);
  }

 private:
  size_t& count_;
};

// Arguments: 1 for adjacent regions, 2 for every other one; regions handed over at once.
void run(benchmark::State& state, Action action, std::vector<Filter> filters, bool dry_run) {
  const Sleeper sleeper;
  RegionPool pool;
  Target target(pool, sleeper.process());
  std::vector<Application> work;
  const uint64_t size = kPagesARegion * kPageSize;
  for (uint64_t i = 0; i < kRegions; ++i) {
    const uint64_t start = sleeper.at() + i * size * static_cast<uint64_t>(state.range(0));
    work.push_back({.target = &target, .region = &target.add_region({start, start + size})});
  }
  Scheme scheme;
  scheme.params.action = action;
  scheme.params.filters.ops = std::move(filters);
  size_t calls = 0;
  VaddrActions actions(Paths(), {.dry_run = dry_run}, std::make_unique<CountingCalls>(calls));
  const auto batch = static_cast<size_t>(state.range(1));
  for ([[maybe_unused]] auto _ : state) {
    for (size_t at = 0; at < work.size(); at += batch) {
      actions.apply(scheme, std::span(work).subspan(at, std::min(batch, work.size() - at)));
    }
  }
  uint64_t applied = 0;
  for (const Application& piece : work) applied += piece.sz_applied;
  const auto regions = static_cast<double>(state.iterations()) * static_cast<double>(kRegions);
  state.counters["per_region"] =
      benchmark::Counter(regions, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  state.counters["acts_per_region"] = static_cast<double>(calls) / regions;
  state.counters["applied_pages"] = static_cast<double>(applied / kPageSize);
}

void cold(benchmark::State& state) { run(state, Action::cold, {}, false); }
void cold_dry_run(benchmark::State& state) { run(state, Action::cold, {}, true); }
void cold_anon_filter(benchmark::State& state) {
  run(state, Action::cold,
      {{.type = FilterType::anon, .matching = true, .allow = true, .memcg_path = {}, .addr = {}}},
      false);
}
void cold_active_filter(benchmark::State& state) {
  run(state, Action::cold,
      {{.type = FilterType::active,
        .matching = true,
        .allow = false,
        .memcg_path = {},
        .addr = {}}},
      false);
}

// What the same advice costs with a call for each region and no look at what it did.
void cold_one_call_a_region(benchmark::State& state) {
  const Sleeper sleeper;
  const auto process = sleeper.process();
  ActionCalls calls;
  const uint64_t size = kPagesARegion * kPageSize;
  for ([[maybe_unused]] auto _ : state) {
    for (uint64_t i = 0; i < kRegions; ++i) {
      const iovec range{reinterpret_cast<void*>(sleeper.at() + i * size), size};
      calls.advise(process->pidfd(), {&range, 1}, MADV_COLD);
    }
  }
  state.counters["per_region"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * static_cast<double>(kRegions),
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

BENCHMARK(cold)->ArgsProduct({{1, 2}, {256, 1024, 10000}})->Unit(benchmark::kMillisecond);
BENCHMARK(cold_dry_run)->ArgsProduct({{1, 2}, {256, 10000}})->Unit(benchmark::kMillisecond);
BENCHMARK(cold_anon_filter)->ArgsProduct({{1}, {256, 10000}})->Unit(benchmark::kMillisecond);
BENCHMARK(cold_active_filter)->ArgsProduct({{1}, {256, 10000}})->Unit(benchmark::kMillisecond);
BENCHMARK(cold_one_call_a_region)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace damonfs
