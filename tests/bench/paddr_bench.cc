// What physical memory costs: making a reverse map of 1 GiB that a child has mapped (time, bytes),
// making it anew, a sampling interval with 1,000 regions by `pte` and by `idle`, and a sweep of all
// its frames by `pte`. Nothing but the child is looked at. Needs the rights that the backends need.
#include <benchmark/benchmark.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <memory>
#include <random>
#include <vector>

#include "core/target.h"
#include "ops/idle/idle_paddr_backend.h"
#include "ops/pages/process_pages.h"
#include "ops/pte/pte_paddr_backend.h"
#include "ops/rmap/reverse_map_scan.h"

namespace damonfs {
namespace {

constexpr uint64_t kBytes = uint64_t{1} << 30;
constexpr size_t kMaxRuns = size_t{1} << 22;

// A child that has 1 GiB and sleeps until it is told to touch all of it.
class Sleeper {
 public:
  explicit Sleeper(bool huge) {
    memory_ = static_cast<char*>(::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE,
                                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    ::madvise(memory_, kBytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    if (memory_ == MAP_FAILED || ::pipe(orders_.data()) != 0 || ::pipe(answers_.data()) != 0)
      std::abort();
    pid_ = ::fork();
    if (pid_ == 0) obey();
    touch();
  }
  ~Sleeper() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    for (const int fd : {orders_[0], orders_[1], answers_[0], answers_[1]}) ::close(fd);
    ::munmap(memory_, kBytes);
  }
  Sleeper(const Sleeper&) = delete;
  Sleeper& operator=(const Sleeper&) = delete;

  void touch() const {
    char answer = 0;
    if (::write(orders_[1], "x", 1) != 1 || ::read(answers_[0], &answer, 1) != 1) std::abort();
  }

  [[nodiscard]] std::unique_ptr<RmapSource> tables() const {
    return std::make_unique<ProcfsRmapSource>(Paths(), ProtectedList(), std::vector{pid_});
  }
  // The frames of its memory.
  [[nodiscard]] std::vector<uint64_t> frames() const {
    const auto process = Process::open(pid_, Paths()).value();
    Kpageflags kernel{Paths()};
    auto info = ProcessPages::open(*process, kernel);
    const auto start = reinterpret_cast<uint64_t>(memory_);
    const AddrRange all{start, start + kBytes};
    std::vector<uint64_t> found;
    for (const auto& page : info->present_pages({&all, 1})) found.push_back(page.entry.pfn());
    return found;
  }

 private:
  [[noreturn]] void obey() const {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    char order = 0;
    while (::read(orders_[0], &order, 1) == 1) {
      for (uint64_t at = 0; at < kBytes; at += kPageSize) memory_[at] = 1;
      if (::write(answers_[1], "x", 1) != 1) break;
    }
    ::_exit(0);
  }

  char* memory_;
  std::array<int, 2> orders_{};
  std::array<int, 2> answers_{};
  pid_t pid_ = 0;
};

// Args: huge pages.
void reverse_map(benchmark::State& state) {
  const Sleeper sleeper(state.range(0) != 0);
  const auto tables = sleeper.tables();
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
  const Sleeper sleeper(state.range(0) != 0);
  const auto made = RmapRefresher::create(sleeper.tables(), kMaxRuns);
  RmapRefresher& keeper = **made;
  constexpr std::chrono::seconds kLong{60};
  keeper.refresh();
  keeper.wait(kLong);
  for (auto unused : state) {
    keeper.refresh();
    keeper.wait(kLong);
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
  const Sleeper sleeper(state.range(0) != 0);
  const auto made = RmapRefresher::create(sleeper.tables(), kMaxRuns);
  RmapRefresher& keeper = **made;
  keeper.refresh();
  keeper.wait(std::chrono::seconds(60));
  const auto bits = PtePaddrBackend::create(Paths(), keeper);
  if (!bits) return state.SkipWithError("pte does not work here");
  sample(state, **bits, sleeper.frames());
}
BENCHMARK(sampling_by_pte)
    ->ArgNames({"huge", "regions"})
    ->Args({0, 1000})
    ->Args({1, 1000})
    ->Unit(benchmark::kMicrosecond);

void sampling_by_idle(benchmark::State& state) {
  const Sleeper sleeper(state.range(0) != 0);
  const auto bits = IdlePaddrBackend::open(Paths());
  if (!bits) return state.SkipWithError("idle page tracking is not there");
  sample(state, **bits, sleeper.frames());
}
BENCHMARK(sampling_by_idle)
    ->ArgNames({"huge", "regions"})
    ->Args({0, 1000})
    ->Args({1, 1000})
    ->Unit(benchmark::kMicrosecond);

// A pass over all frames. Args: huge pages; whether all of them are accessed before each pass.
void sweep_by_pte(benchmark::State& state) {
  const Sleeper sleeper(state.range(0) != 0);
  const auto made = RmapRefresher::create(sleeper.tables(), kMaxRuns);
  RmapRefresher& keeper = **made;
  keeper.refresh();
  keeper.wait(std::chrono::seconds(60));
  const auto bits = PtePaddrBackend::create(Paths(), keeper);
  if (!bits) return state.SkipWithError("pte does not work here");
  RegionPool pool;
  const Target nobody(pool, nullptr);
  constexpr AddrRange kAll{0, uint64_t{1} << 52};
  std::vector<SweptRun> runs;
  SweepCost all;
  const auto pass = [&] {
    SweepCost cost;
    runs.clear();
    for (uint64_t at = 0; at < kAll.end;) {
      const auto piece =
          (*bits)->sweeper()->sweep(nobody, {at, kAll.end}, SweepMode::make_old, runs);
      if (!piece) return state.SkipWithError(piece.error().message.c_str());
      at = piece->next;
      cost += piece->cost;
    }
    all += cost;
    state.SetIterationTime(static_cast<double>(cost.cpu_ns) * 1e-9);
  };
  pass();
  pass();
  all = {};
  for (auto unused : state) {
    if (state.range(1) != 0) sleeper.touch();
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
