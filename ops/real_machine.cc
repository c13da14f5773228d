#include "ops/real_machine.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <random>
#include <string_view>
#include <utility>

#include "ops/base/steady_clock.h"
#include "ops/doctor/backends.h"
#include "ops/doctor/features.h"
#include "ops/paddr/paddr.h"
#include "ops/paddr/paddr_actions.h"
#include "ops/procfs/iomem.h"
#include "ops/procfs/memcg.h"
#include "ops/procfs/pid_namespace.h"
#include "ops/procfs/process.h"
#include "ops/procfs/system_metrics.h"
#include "ops/synthetic/pattern.h"
#include "ops/synthetic/pattern_clock.h"
#include "ops/synthetic/simulated_world.h"
#include "ops/vaddr/vaddr.h"
#include "ops/vaddr/vaddr_actions.h"

namespace damonfs {

namespace {

// What the functions of a real Machine use; immutable once made.
struct RealParts {
  RealParts(const Paths& where, const BackendTraits& chosen, const MachineOptions& options)
      : paths(where),
        backend(chosen),
        dry_run(options.dry_run),
        protect(options.protect),
        metrics(where) {}

  const Paths paths;
  const BackendTraits& backend;
  const bool dry_run;
  const ProtectedList protect;
  SystemMetrics metrics;
  SteadyClock clock;
};

// Processes, watched with schemes.
Result<std::unique_ptr<Operations>> make_vaddr(OpsId id, RealParts& parts) {
  auto backend = parts.backend.make_vaddr(parts.paths);
  if (!backend) return tl::unexpected(backend.error());
  auto actions = std::make_unique<VaddrActions>(
      parts.paths, VaddrActionOptions{.dry_run = parts.dry_run,
                                      .act_on_devices = !parts.protect.devices,
                                      .ages = (*backend)->young_test()});
  return std::make_unique<VaddrOperations>(id, *std::move(backend), std::move(actions), parts.paths,
                                           parts.metrics);
}

// Physical memory, watched with schemes.
Result<std::unique_ptr<Operations>> make_paddr(RealParts& parts) {
  auto rmap = RmapRefresher::create(std::make_unique<ProcfsRmapSource>(parts.paths, parts.protect),
                                    runs_for_machine(parts.paths));
  if (!rmap) return tl::unexpected(rmap.error());
  auto backend = parts.backend.make_paddr(parts.paths, **rmap);
  if (!backend) return tl::unexpected(backend.error());
  auto actions = std::make_unique<PaddrActions>(parts.paths, **rmap, **backend,
                                                PaddrActionOptions{.dry_run = parts.dry_run});
  return std::make_unique<PaddrOperations>(*std::move(rmap), *std::move(backend),
                                           std::move(actions), parts.paths, parts.metrics);
}

// A process that is held takes two descriptors, or three, and paddr may hold all there are.
void raise_file_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

// Adds paddr to what the machine has, or says why not.
void add_paddr(ServedMachine& made, const RealParts& parts) {
  if (const auto possible = try_paddr(parts.backend, parts.paths); !possible) {
    made.description += fmt::format("; no paddr: {}", possible.error().message);
    return;
  }
  made.machine.avail_operations.push_back(OpsId::paddr);
  raise_file_limit();
  if (const std::string protect = parts.protect.describe(); !protect.empty()) {
    made.description += fmt::format("; paddr protects {}", protect);
  }
}

// The functions of a real machine; avail_operations are complete.
void set_functions(Machine& machine, const std::shared_ptr<RealParts>& parts) {
  machine.make_operations =
      [parts, avail = machine.avail_operations](OpsId id) -> Result<std::unique_ptr<Operations>> {
    if (std::ranges::find(avail, id) == avail.end()) {
      return fail(EINVAL, "the backend {} does not watch physical memory here",
                  parts->backend.name);
    }
    auto made = id == OpsId::paddr ? make_paddr(*parts) : make_vaddr(id, *parts);
    return std::move(made).map_error(not_watchable);
  };
  machine.open_target = [parts](int pid, int writer) {
    return Process::open_as_named_by(writer, pid, parts->paths)
        .and_then([](std::shared_ptr<Process> process) {
          return process->check_readable().map([&] { return std::move(process); });
        })
        .map(as_handle<Process>)
        .map_error(not_watchable);
  };
  machine.find_memcg = [parts](std::string_view path) { return find_memcg(parts->paths, path); };
  machine.system_ram_span = [parts] { return system_ram_span(parts->paths); };
}

Result<ServedMachine> make_real(MachineOptions options, const Paths& paths) {
  if (auto own = check_own_procfs(paths); !own) return tl::unexpected(own.error());
  if (auto held = options.protect.hold(paths); !held) return tl::unexpected(held.error());
  const auto reports = probe_backends(paths);
  auto choice =
      options.backend == "auto" ? choose_backend(reports) : Result<std::string>(options.backend);
  if (!choice) return tl::unexpected(choice.error());
  const auto report = std::ranges::find(reports, *choice, &BackendReport::name);
  if (report == reports.end()) return fail(EINVAL, "there is no backend {}", *choice);
  if (!report->usable) {
    return fail(ENOTSUP, "the backend {} does not work here: {} ({})", *choice, report->reason,
                report->remedy);
  }
  const BackendTraits& backend = *find_backend(*choice);
  if (backend.make_vaddr == nullptr) return fail(EINVAL, "the backend {} takes a file", *choice);
  const auto parts = std::make_shared<RealParts>(paths, backend, options);
  ServedMachine made;
  made.parts = parts;
  made.description = fmt::format("backend {}{} ({}), which sees {}", *choice,
                                 options.backend == "auto" ? ", chosen by itself" : "",
                                 report->reason, report->sees);
  made.machine.avail_operations = {OpsId::vaddr, OpsId::fvaddr};
  add_paddr(made, *parts);
  set_functions(made.machine, parts);
  made.machine.backend = *choice;
  made.machine.sees_writes_only = backend.sees_writes_only;
  made.machine.seed = options.seed ? *options.seed : std::random_device()();
  made.machine.clock = &parts->clock;
  return made;
}

Result<ServedMachine> make_synthetic(const std::string& file, std::optional<uint64_t> seed) {
  auto loaded = load_seeded(file, seed);
  if (!loaded) return tl::unexpected(loaded.error());
  const auto pattern = std::make_shared<const Pattern>(*std::move(loaded));
  const auto virtual_clock = pattern->virtual_clock ? std::make_shared<PatternClock>() : nullptr;
  const std::shared_ptr<Clock> clock =
      virtual_clock ? std::shared_ptr<Clock>(virtual_clock) : std::make_shared<SteadyClock>();
  ServedMachine made;
  made.parts = clock;
  made.machine = machine_of_pattern(pattern, *clock, virtual_clock.get(), nullptr);
  made.machine.backend = "synthetic";
  made.machine.clock = clock.get();
  made.description = fmt::format("SYNTHETIC accesses as described in {}, in {} time", file,
                                 pattern->virtual_clock ? "virtual" : "real");
  return made;
}

}  // namespace

Result<ServedMachine> make_machine(const MachineOptions& options, const Paths& paths) {
  auto made = options.backend.starts_with(kSyntheticPrefix)
                  ? make_synthetic(options.backend.substr(kSyntheticPrefix.size()), options.seed)
                  : make_real(options, paths);
  if (!made) return made;
  made->machine.sweep_bp = options.sweep_bp;
  made->machine.dry_run = options.dry_run;
  made->description += fmt::format(", seed {}", made->machine.seed);
  if (options.dry_run) {
    made->description += "; DRY RUN: what schemes would do is counted, not done";
  }
  return made;
}

}  // namespace damonfs
