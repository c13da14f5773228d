#include "ops/synthetic/synthetic_vaddr.h"

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "core/actions.h"
#include "core/base/arithmetic.h"
#include "core/base/page_size.h"
#include "core/base/runs.h"
#include "core/context.h"
#include "ops/synthetic/pattern_player.h"

namespace damonfs {
namespace {

const SyntheticProcess& described(const Target& target) {
  return static_cast<const SyntheticProcess&>(*target.handle);
}

// Calls `fn` for each stretch of `items` that is of one target.
template <class Item, class Fn>
void for_each_target(std::span<Item> items, const Fn& fn) {
  for_each_run(items, &Item::target,
               [&](std::span<Item> of_one) { fn(described(*of_one.front().target), of_one); });
}

}  // namespace

SyntheticVaddr::SyntheticVaddr(OpsId id, std::shared_ptr<const Pattern> pattern, const Clock& clock,
                               PatternClock* virtual_clock,
                               std::shared_ptr<SyntheticMachine> machine)
    : VirtualOperations(id), play_(std::move(pattern), clock, virtual_clock, std::move(machine)) {}

void SyntheticVaddr::init(Context& context) {
  play_.start(context);
  for (const Target& target : context.targets) {
    (void)play_.machine().residency(described(target).pid());  // in use from now on
  }
  VirtualOperations::init(context);
}

void SyntheticVaddr::prepare(std::span<Sample> /*samples*/) { play_.run().begin_interval(); }

void SyntheticVaddr::check(std::span<Sample> samples) {
  play_.run().end_interval();
  for_each_target(samples, [this](const SyntheticProcess& process, std::span<Sample> of_one) {
    const auto accesses = play_.run().accesses_of(process.pattern(), process.pid());
    for (Sample& sample : of_one) {
      const auto page = accesses.at(sample.addr);
      sample.accessed = page.accessed;
      sample.unknown = page.unknown;
      sample.leaf_sz = page.leaf_sz;
    }
  });
}

void SyntheticVaddr::prepare_probes(std::span<const Probe> /*probes*/, std::span<Sample> samples,
                                    bool accesses) {
  if (!accesses) prepare(samples);
}

void SyntheticVaddr::apply_probes(std::span<const Probe> probes, std::span<Sample> samples,
                                  bool accesses) {
  if (!accesses) check(samples);
  play_.settle_now_and_then();
  for_each_target(samples, [&](const SyntheticProcess& process, std::span<Sample> of_one) {
    for (Sample& sample : of_one) {
      sample.probes_hit =
          play_.hits(probes, accesses, {process.pid(), sample.addr, sample.accessed});
    }
  });
}

void SyntheticVaddr::apply(const Scheme& scheme, std::span<Application> work) {
  const SyntheticActions::Now now = play_.settle();
  if (!is_done_to(OpsId::vaddr, scheme.params.action)) return refuse(scheme.params.action, work);
  for_each_target(work, [&](const SyntheticProcess& process, std::span<Application> of_one) {
    Residency& memory = play_.machine().residency(process.pid());
    for (Application& piece : of_one) {
      const auto done =
          play_.actions().act(scheme, piece.region->range, piece.ask_ops_filters, memory, now);
      piece.sz_applied = done.applied;
      piece.sz_filter_passed = done.filter_passed;
    }
  });
}

void SyntheticVaddr::refuse(Action action, std::span<Application> work) {
  for (Application& piece : work) piece.sz_applied = piece.sz_filter_passed = 0;
  const std::string_view name = traits_of(action).name;
  warn_(name, "the action {} cannot be done to virtual address spaces: tried, not applied", name);
}

bool SyntheticVaddr::target_valid(const Target& target) {
  const PatternProcess& process = described(target).pattern();
  return process.end != PatternEnd::exit || play_.run().elapsed_ns() < process.length_ns();
}

Result<std::vector<AddrRange>> SyntheticVaddr::mappings(const Target& target) {
  const uint64_t now = play_.run().elapsed_ns();
  return PatternWindow(described(target).pattern(), now, now).mappings();
}

}  // namespace damonfs
