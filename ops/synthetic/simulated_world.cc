#include "ops/synthetic/simulated_world.h"

#include <cerrno>
#include <set>
#include <utility>

#include "core/target.h"
#include "ops/synthetic/pattern_memory.h"
#include "ops/synthetic/pattern_player.h"
#include "ops/synthetic/residency.h"
#include "ops/synthetic/synthetic_paddr.h"
#include "ops/synthetic/synthetic_vaddr.h"

namespace damonfs {

namespace {

tl::unexpected<Error> nobody_has_memory() {
  return fail(EINVAL,
              "no process of the pattern has a number, and so none a place in memory; write "
              "`process 1` for "
              "`process *`");
}

}  // namespace

Result<Pattern> load_seeded(const std::string& file, std::optional<uint64_t> seed) {
  auto pattern = load_pattern(file);
  if (pattern && seed) pattern->seed = *seed;
  return pattern;
}

Machine machine_of_pattern(const std::shared_ptr<const Pattern>& pattern, const Clock& clock,
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
      return std::make_unique<SyntheticVaddr>(id, pattern, clock, virtual_clock, memory);
    }
    if (!has_memory) return nobody_has_memory();
    return std::make_unique<SyntheticPaddr>(pattern, clock, virtual_clock, memory);
  };
  machine.system_ram_span = [space, has_memory]() -> Result<AddrRange> {
    if (!has_memory) return nobody_has_memory();
    return space;
  };
  machine.open_target = [pattern](int pid, int /*writer*/) {
    return SyntheticProcess::open(pid, pattern)
        .map(as_handle<SyntheticProcess>)
        .map_error(not_watchable);
  };
  machine.seed = pattern->seed;
  return machine;
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
  Machine machine = machine_of_pattern(pattern_, clock, nullptr, memory_);
  machine.sweep_bp = sweep_bp_;
  return machine;
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
