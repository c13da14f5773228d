#include "fs/wiring.h"

#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <random>
#include <set>
#include <string_view>
#include <utility>

#include "core/context.h"
#include "ops/base/steady_clock.h"
#include "ops/doctor/features.h"
#include "ops/idle/idle_ages.h"
#include "ops/idle/idle_backend.h"
#include "ops/idle/idle_paddr_backend.h"
#include "ops/paddr/paddr.h"
#include "ops/paddr/paddr_actions.h"
#include "ops/procfs/iomem.h"
#include "ops/procfs/memcg.h"
#include "ops/procfs/process.h"
#include "ops/pte/pte_backend.h"
#include "ops/pte/pte_paddr_backend.h"
#include "ops/pte/pte_reader.h"
#include "ops/soft_dirty/soft_dirty_backend.h"
#include "ops/synthetic/pattern.h"
#include "ops/synthetic/pattern_clock.h"
#include "ops/synthetic/pattern_memory.h"
#include "ops/synthetic/pattern_player.h"
#include "ops/synthetic/synthetic_paddr.h"
#include "ops/synthetic/synthetic_vaddr.h"
#include "ops/vaddr/vaddr.h"
#include "ops/vaddr/vaddr_actions.h"

namespace damonfs {

namespace {

constexpr std::string_view kSynthetic = "synthetic:";

// A VaddrBackend, and what answers the filter `young` by the same bits, if anything: it itself or
// another object.
struct Bits {
  std::unique_ptr<VaddrBackend> bits;
  YoungTest* ages = nullptr;
  std::unique_ptr<YoungTest> own_ages = nullptr;
};

Result<Bits> make_bits(std::string_view backend, const Paths& paths) {
  if (backend == "pte") {
    return PteBackend::create(paths).map([](std::unique_ptr<PteBackend> bits) {
      YoungTest* ages = bits.get();
      return Bits{std::move(bits), ages};
    });
  }
  if (backend == "idle") {
    auto bits = IdleBackend::open(paths, read_entries_by_walk(paths).value_or(PteReader()));
    if (!bits) return tl::unexpected(bits.error());
    return IdleAges::open(paths).map([&](std::unique_ptr<IdleAges> ages) {
      YoungTest* const answers = ages.get();
      return Bits{std::move(*bits), answers, std::move(ages)};
    });
  }
  return SoftDirty::open(paths).map(
      [](std::unique_ptr<SoftDirty> bits) { return Bits{std::move(bits)}; });
}

// Real processes, watched with real schemes.
class ProcessOperations final : public Operations {
 public:
  ProcessOperations(OpsId id, Bits bits, const Paths& paths, bool dry_run, Metrics& metrics)
      : own_ages_(std::move(bits.own_ages)),
        watching_(id, std::move(bits.bits), paths),
        actions_(paths, {.dry_run = dry_run, .ages = bits.ages}),
        metrics_(metrics) {}

  void init(Context& context) override {
    context.metrics = &metrics_;
    watching_.init(context);
  }
  void update(Context& context) override { watching_.update(context); }
  void prepare(std::span<Sample> samples) override { watching_.prepare(samples); }
  void check(std::span<Sample> samples) override { watching_.check(samples); }
  [[nodiscard]] bool takes_probes() const override { return true; }
  void prepare_probes(std::span<const Probe> probes, std::span<Sample> samples,
                      bool accesses) override {
    watching_.prepare_probes(probes, samples, accesses);
  }
  void apply_probes(std::span<const Probe> probes, std::span<Sample> samples,
                    bool accesses) override {
    watching_.apply_probes(probes, samples, accesses);
  }
  bool target_valid(const Target& target) override { return watching_.target_valid(target); }
  void apply(const Scheme& scheme, std::span<Application> work) override {
    actions_.apply(scheme, work);
  }

 private:
  std::unique_ptr<YoungTest> own_ages_;
  VaddrOperations watching_;
  VaddrActions actions_;
  Metrics& metrics_;
};

Result<std::unique_ptr<PaddrBackend>> make_physical_bits(std::string_view backend,
                                                         const Paths& paths,
                                                         RmapRefresher& keeper) {
  const auto as_bits = [](auto bits) { return std::unique_ptr<PaddrBackend>(std::move(bits)); };
  if (backend == "pte") return PtePaddrBackend::create(paths, keeper).map(as_bits);
  return IdlePaddrBackend::open(paths).map(as_bits);
}

// Physical memory, watched with real schemes.
Result<std::unique_ptr<Operations>> make_physical_operations(std::string_view backend,
                                                             const Paths& paths, bool dry_run,
                                                             const ProtectedList& spared,
                                                             Metrics& metrics) {
  auto keeper = std::make_unique<RmapRefresher>(std::make_unique<ProcfsPageTables>(paths, spared),
                                                runs_for_machine(paths));
  auto bits = make_physical_bits(backend, paths, *keeper);
  if (!bits) return tl::unexpected(bits.error());
  auto actions = std::make_unique<PaddrActions>(paths, *keeper, **bits,
                                                FrameActionOptions{.dry_run = dry_run});
  return std::make_unique<PaddrOperations>(std::move(keeper), *std::move(bits), std::move(actions),
                                           paths, metrics);
}

// A process that is held takes two descriptors, or three, and paddr may hold all there are.
void raise_file_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

Error not_watchable(Error error) {
  // The kernel tells the writer nothing but that.
  error.code = EINVAL;
  return error;
}

template <class T>
std::shared_ptr<TargetHandle> as_handle(std::shared_ptr<T> process) {
  return process;
}

// `seed`: in place of the pattern's.
Result<Pattern> load_seeded(const std::string& file, std::optional<uint64_t> seed) {
  auto pattern = load_pattern(file);
  if (pattern && seed) pattern->seed = *seed;
  return pattern;
}

tl::unexpected<Error> nobody_has_memory() {
  return fail(EINVAL, "no process of the pattern has a number, and so none a place in memory");
}

// What the tree needs to watch a pattern in the time of `clock`, which outlives all that is made.
// `memory`: what several clocks share; without it operations have a machine of their own each.
Machine machine_of(const std::shared_ptr<const Pattern>& pattern, const Clock& clock,
                   PatternClock* virtual_clock, std::shared_ptr<SyntheticMachine> memory) {
  Machine machine;
  const AddrRange space = PatternMemory(*pattern).space();
  const bool has_memory = space.size() != 0;
  machine.avail_operations = {OpsId::vaddr, OpsId::fvaddr};
  if (has_memory) machine.avail_operations.push_back(OpsId::paddr);
  machine.make_operations =
      [pattern, &clock, virtual_clock, has_memory,
       memory = std::move(memory)](OpsId id) -> Result<std::unique_ptr<Operations>> {
    if (id != OpsId::paddr) {
      return std::make_unique<SyntheticOperations>(id, pattern, clock, virtual_clock, memory);
    }
    if (!has_memory) return nobody_has_memory();
    return std::make_unique<SyntheticPaddr>(pattern, clock, virtual_clock, memory);
  };
  machine.biggest_system_ram = [space, has_memory]() -> Result<AddrRange> {
    if (!has_memory) return nobody_has_memory();
    return space;
  };
  machine.open_target = [pattern](int pid) {
    return SyntheticProcess::open(pid, pattern)
        .map(as_handle<SyntheticProcess>)
        .map_error(not_watchable);
  };
  machine.seed = pattern->seed;
  return machine;
}

}  // namespace

Result<std::unique_ptr<Wiring>> Wiring::make(const std::string& backend,
                                             std::optional<uint64_t> seed, const Paths& paths,
                                             bool dry_run, ProtectedList spared) {
  std::unique_ptr<Wiring> wiring(new Wiring(paths, dry_run, std::move(spared)));
  const bool synthetic = backend.starts_with(kSynthetic);
  auto wired = synthetic ? wiring->wire_synthetic(backend.substr(kSynthetic.size()), seed)
                         : wiring->wire_real(backend, seed);
  if (!wired) return tl::unexpected(wired.error());
  wiring->machine_.clock = wiring->clock_.get();
  wiring->description_ += fmt::format(", seed {}", wiring->machine_.seed);
  if (dry_run) wiring->description_ += "; DRY RUN: what schemes would do is counted, not done";
  return wiring;
}

Result<void> Wiring::wire_real(const std::string& backend, std::optional<uint64_t> seed) {
  const auto reports = probe_backends(paths_);
  auto choice = backend == "auto" ? choose_backend(reports) : Result<std::string>(backend);
  if (!choice) return tl::unexpected(choice.error());
  const std::string chosen = *std::move(choice);
  const auto report = std::ranges::find(reports, chosen, &BackendReport::name);
  if (report == reports.end()) return fail(EINVAL, "there is no backend {}", chosen);
  if (!report->usable) {
    return fail(ENOTSUP, "the backend {} does not work here: {} ({})", chosen, report->reason,
                report->remedy);
  }
  description_ =
      fmt::format("backend {}{} ({}), which sees {}", chosen,
                  backend == "auto" ? ", chosen by itself" : "", report->reason, report->sees);
  machine_.avail_operations = {OpsId::vaddr, OpsId::fvaddr};
  machine_.make_operations = [this, chosen](OpsId id) -> Result<std::unique_ptr<Operations>> {
    if (std::ranges::find(machine_.avail_operations, id) == machine_.avail_operations.end()) {
      return fail(EINVAL, "the backend {} does not watch physical memory here", chosen);
    }
    if (id == OpsId::paddr) {
      return make_physical_operations(chosen, paths_, dry_run_, spared_, metrics_)
          .map_error(not_watchable);
    }
    return make_bits(chosen, paths_).map_error(not_watchable).map([&](Bits bits) {
      return std::unique_ptr<Operations>(
          std::make_unique<ProcessOperations>(id, std::move(bits), paths_, dry_run_, metrics_));
    });
  };
  machine_.open_target = [this](int pid) {
    return Process::open(pid, paths_).map(as_handle<Process>).map_error(not_watchable);
  };
  machine_.find_memcg = [this](std::string_view path) { return find_memcg(paths_, path); };
  machine_.biggest_system_ram = [this] { return biggest_system_ram(paths_); };
  machine_.sees_writes_only = chosen == "soft-dirty";
  machine_.seed = seed ? *seed : std::random_device()();
  clock_ = std::make_unique<SteadyClock>();
  wire_physical(chosen);
  return {};
}

void Wiring::wire_physical(const std::string& backend) {
  if (const auto possible = try_physical(backend, paths_); !possible) {
    description_ += fmt::format("; no paddr: {}", possible.error().message);
    return;
  }
  machine_.avail_operations.push_back(OpsId::paddr);
  raise_file_limit();
  if (const std::string spared = spared_.describe(); !spared.empty()) {
    description_ += fmt::format("; paddr spares {}", spared);
  }
}

Result<void> Wiring::wire_synthetic(const std::string& file, std::optional<uint64_t> seed) {
  auto loaded = load_seeded(file, seed);
  if (!loaded) return tl::unexpected(loaded.error());
  const auto pattern = std::make_shared<const Pattern>(*std::move(loaded));
  PatternClock* virtual_clock = nullptr;
  if (pattern->virtual_clock) {
    auto clock = std::make_unique<PatternClock>();
    virtual_clock = clock.get();
    clock_ = std::move(clock);
  } else {
    clock_ = std::make_unique<SteadyClock>();
  }
  description_ = fmt::format("SYNTHETIC accesses as described in {}, in {} time", file,
                             pattern->virtual_clock ? "virtual" : "real");
  machine_ = machine_of(pattern, *clock_, virtual_clock, nullptr);
  return {};
}

SimulatedWorld::SimulatedWorld(Pattern pattern)
    : pattern_(std::make_shared<const Pattern>(std::move(pattern))),
      memory_(std::make_shared<SyntheticMachine>(pattern_)) {}

Result<SimulatedWorld> SimulatedWorld::load(const std::string& file, std::optional<uint64_t> seed) {
  return load_seeded(file, seed).map([](Pattern pattern) {
    return SimulatedWorld(std::move(pattern));
  });
}

Machine SimulatedWorld::machine_for(const Clock& clock) const {
  return machine_of(pattern_, clock, nullptr, memory_);
}

SimulatedWorld::Process SimulatedWorld::look_at_memory(uint64_t now_ns) const {
  Process all;
  std::set<int> seen;
  const PatternMemory memory_of_all(*pattern_);
  for (const PatternMemory::Block& block : memory_of_all.blocks()) {
    const PatternWindow now(*block.process, now_ns, now_ns);
    if (now.find(block.mapping->range.start) != nullptr) all.mappings.push_back(block.physical);
    if (!seen.insert(block.pid).second) continue;
    const Residency& memory = memory_->residency(block.pid);
    all.mapped += memory.mapped();
    all.resident += memory.resident();
    all.brought_back += memory.brought_back();
  }
  return all;
}

SimulatedWorld::Process SimulatedWorld::look(const Target& target, uint64_t now_ns,
                                             uint64_t sample_us) {
  memory_->settle(now_ns, sample_us * 1000);
  if (!target.handle) return look_at_memory(now_ns);
  const auto& process = static_cast<const SyntheticProcess&>(*target.handle);
  const Residency& memory = memory_->residency(process.pid());
  return {.pid = process.pid(),
          .mappings = PatternWindow(process.pattern(), now_ns, now_ns).mappings(),
          .mapped = memory.mapped(),
          .resident = memory.resident(),
          .brought_back = memory.brought_back()};
}

}  // namespace damonfs
