#include "fs/simulate/simulation.h"

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "core/damos.h"
#include "fs/damon/context_builder.h"
#include "fs/damon/sysfs_kdamond.h"
#include "fs/damonfs/damonfs_directory.h"
#include "fs/modules/module_files.h"
#include "fs/tree/values.h"

namespace damonfs {

namespace {

constexpr uint64_t kNsPerUs = 1000;

}  // namespace

void SimulatedClock::sleep_us(uint64_t us, const std::stop_token& /*stop*/) {
  // An interval of no time would never come to an end.
  const uint64_t now = now_ns_ + std::clamp<uint64_t>(us, 1, end_ns_ / kNsPerUs + 1) * kNsPerUs;
  now_ns_ = now;
  if (now > end_ns_) stop_.request_stop();
}

// The tree's files; but `state`, and `enabled` of a module, switches on here and now.
class Simulation::Writer final : public TreeWriter {
 public:
  explicit Writer(Simulation& simulation) : simulation_(simulation) {
    const Machine machine = simulation.world_.machine_for(clock_);
    add_damon_tree(tree_, machine);
    add_modules(tree_, machine);
    add_damonfs_directory(tree_, machine, nullptr);
  }

  Result<void> write(const std::string& path, std::string_view text) override {
    const bool module = path.ends_with("/parameters/enabled");
    if (!module && !path.ends_with("/state")) return files_.write(path, text);
    const auto file = find_file(tree_, path);
    if (!file) return tl::unexpected(file.error());
    return module ? enable(*file->directory, text) : switch_on(*file->directory, text);
  }

 private:
  Result<void> enable(const Directory& parameters, std::string_view text) {
    const auto on = parse_bool(text);
    if (!on) return tl::unexpected(on.error());
    return *on ? simulation_.switch_on_module(parameters) : Result<void>();
  }
  Result<void> switch_on(const Directory& directory, std::string_view text) {
    if (text != "on" && text != "on\n") {
      return fail(EINVAL, "a simulation switches kdamonds on, nothing else");
    }
    const auto& files = *static_cast<const SysfsKdamond*>(directory.object().get());
    size_t number = 0;
    const std::string& name = directory.name();
    std::from_chars(name.data(), name.data() + name.size(), number);
    if (files.contexts.empty()) return {};
    return simulation_.switch_on(number, files.contexts[0]);
  }

  Simulation& simulation_;
  SimulatedClock clock_{0};
  Tree tree_;
  LocalTreeWriter files_{tree_};
};

Simulation::Simulation(SimulatedWorld world, uint64_t length_ns)
    : world_(std::move(world)), length_ns_(length_ns) {}

Result<std::unique_ptr<Simulation>> Simulation::make(const std::string& config,
                                                     SimulatedWorld world, uint64_t length_ns) {
  std::unique_ptr<Simulation> simulation(new Simulation(std::move(world), length_ns));
  Writer writer(*simulation);
  if (auto applied = apply_config_file(config, writer, ImpliedState::on); !applied) {
    return tl::unexpected(applied.error());
  }
  if (simulation->kdamonds_.empty()) {
    return fail(EINVAL, "{}: there is no kdamond with a context in it", config);
  }
  return simulation;
}

Result<void> Simulation::switch_on(size_t number, const SysfsContext& files) {
  if (module_runs_) return fail(EBUSY, "a module is enabled, which wants to be alone");
  auto kdamond = std::make_unique<Running>(number, length_ns_);
  auto context = build_context(files, world_.machine_for(kdamond->clock));
  if (!context) return tl::unexpected(context.error());
  if (auto valid = check_none_obsolete(files); !valid) return valid;
  add(std::move(kdamond), *std::move(context));
  return {};
}

Result<void> Simulation::switch_on_module(const Directory& parameters) {
  if (!kdamonds_.empty()) return fail(EBUSY, "a module wants to be alone, but kdamonds run");
  auto kdamond = std::make_unique<Running>(0, length_ns_);
  auto context = module_context(parameters, world_.machine_for(kdamond->clock));
  if (!context) return tl::unexpected(context.error());
  add(std::move(kdamond), *std::move(context));
  module_runs_ = true;
  return {};
}

void Simulation::add(std::unique_ptr<Running> kdamond, std::unique_ptr<Context> context) {
  kdamond->context = std::move(context);
  kdamond->loop.emplace(*kdamond->context, kdamond->clock, kdamond->requests);
  kdamond->loop->start();
  kdamonds_.push_back(std::move(kdamond));
}

void Simulation::run_until(uint64_t ns) {
  const auto now = [](const Running& kdamond) { return kdamond.clock.now_ns(); };
  while (true) {
    Running* first = nullptr;
    for (const auto& kdamond : kdamonds_) {
      if (kdamond->ended || now(*kdamond) >= ns) continue;
      if (first == nullptr || now(*kdamond) < now(*first)) first = kdamond.get();
    }
    if (first == nullptr) return;
    step(*first);
  }
}

void Simulation::step(Running& kdamond) {
  Context& context = *kdamond.context;
  if (!context.has_valid_target()) {
    kdamond.ended = true;
    return;
  }
  // Here rather than inside of the loop, which would wait there while the others stand still.
  const uint64_t rest_us = check_watermarks(context);
  if (rest_us != 0) {
    kdamond.clock.sleep_us(rest_us, {});
  } else if (!kdamond.loop->run_once(kdamond.clock.stop())) {
    kdamond.ended = true;
  }
}

std::vector<SimulatedKdamond> Simulation::look() {
  std::vector<SimulatedKdamond> views;
  for (const auto& kdamond : kdamonds_) {
    const Context& context = *kdamond->context;
    SimulatedKdamond view;
    view.number = kdamond->number;
    view.running = !kdamond->ended;
    view.nr_regions = context.nr_regions();
    for (const Target& target : context.targets) {
      const auto process = world_.look(target, kdamond->clock.now_ns(), context.attrs.sample_us);
      view.mapped += process.mapped;
      view.resident += process.resident;
      view.brought_back += process.brought_back;
    }
    for (const Scheme& scheme : context.schemes) {
      view.schemes.push_back({scheme.params.action, scheme.stat, scheme.quota.limited(),
                              scheme.quota.esz(), scheme.active});
    }
    views.push_back(std::move(view));
  }
  return views;
}

std::vector<Simulation::TargetView> Simulation::look_at_targets() {
  std::vector<TargetView> views;
  for (const auto& kdamond : kdamonds_) {
    const Context& context = *kdamond->context;
    const uint64_t now = kdamond->clock.now_ns();
    size_t number = 0;
    for (const Target& target : context.targets) {
      auto process = world_.look(target, now, context.attrs.sample_us);
      Snapshot snapshot;
      snapshot.pid = process.pid;
      snapshot.elapsed = static_cast<double>(now) / 1e9;
      snapshot.attrs = context.attrs;
      snapshot.mapped = std::move(process.mappings);
      for (const Region& region : target.regions()) {
        snapshot.regions.push_back({region.range, context.moving_nr_accesses(region), region.age});
      }
      views.push_back({kdamond->number, number++, std::move(snapshot)});
    }
  }
  return views;
}

}  // namespace damonfs
