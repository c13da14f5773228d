#include "ops/synthetic/synthetic_paddr.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "core/actions.h"
#include "core/base/arithmetic.h"
#include "core/context.h"

namespace damonfs {
SyntheticPaddr::SyntheticPaddr(std::shared_ptr<const Pattern> pattern, const Clock& clock,
                               PatternClock* virtual_clock,
                               std::shared_ptr<SyntheticMachine> machine)
    : pattern_(std::move(pattern)),
      memory_(*pattern_),
      play_(pattern_, clock, virtual_clock, std::move(machine)) {}

void SyntheticPaddr::init(Context& context) {
  context_ = &context;
  play_.start(context);
}

void SyntheticPaddr::prepare(std::span<Sample> /*samples*/) { play_.run().begin_interval(); }

void SyntheticPaddr::check(std::span<Sample> samples) {
  play_.run().end_interval();
  const PatternProcess* process = nullptr;
  std::optional<PatternRun::Accesses> accesses;
  for (Sample& sample : samples) {
    const uint64_t addr = sample.addr * context_->addr_unit;
    PatternRun::Accesses::Page page;
    if (const auto* block = memory_.at(addr)) {
      if (block->process != process) {
        process = block->process;
        accesses = play_.run().accesses_of(*process, block->pid);
      }
      page = accesses->at(block->to_virtual(addr));
    }
    sample.accessed = page.accessed;
    sample.unknown = page.unknown;
    sample.leaf_sz = page.leaf_sz;
  }
}

void SyntheticPaddr::prepare_probes(std::span<const Probe> /*probes*/, std::span<Sample> samples,
                                    bool accesses) {
  if (!accesses) prepare(samples);
}

void SyntheticPaddr::apply_probes(std::span<const Probe> probes, std::span<Sample> samples,
                                  bool accesses) {
  if (!accesses) check(samples);
  play_.settle_now_and_then();
  for (Sample& sample : samples) {
    const uint64_t addr = sample.addr * context_->addr_unit;
    const auto* block = memory_.at(addr);
    sample.probes_hit =
        block == nullptr
            ? 0
            : play_.hits(probes, accesses, {block->pid, block->to_virtual(addr), sample.accessed});
  }
}

void SyntheticPaddr::apply(const Scheme& scheme, std::span<Application> work) {
  for (Application& piece : work) piece.sz_applied = piece.sz_filter_passed = 0;
  if (!is_done_to(OpsId::paddr, scheme.params.action)) {
    warn_("action", "a scheme's action is none of physical memory: tried, not applied");
    return;
  }
  const SyntheticActions::Now now = play_.settle();
  const uint64_t unit = context_->addr_unit;
  for (Application& piece : work) {
    for_each_block(piece.region->range, [&](Residency& memory, AddrRange part) {
      const auto done = play_.actions().act(scheme, part, piece.ask_ops_filters, memory, now);
      piece.sz_applied += done.applied / unit;
      piece.sz_filter_passed += done.filter_passed / unit;
    });
  }
}

NodeShare SyntheticPaddr::node_share(std::span<const AddrRange> memory, int nid) {
  play_.settle();
  double all = 0;
  double on_node = 0;
  for (const AddrRange& region : memory) {
    for_each_block(region, [&](Residency& process, AddrRange part) {
      process.visit(part, [&](Residency::Piece& piece) {
        all += piece.bytes_in();
        if (piece.node == nid) on_node += piece.bytes_in();
      });
    });
  }
  return {.all = whole_pages(all), .on_node = whole_pages(on_node)};
}

void SyntheticPaddr::for_each_block(const AddrRange& region,
                                    const std::function<void(Residency&, AddrRange)>& fn) {
  const uint64_t unit = context_->addr_unit;
  const AddrRange bytes{mult_frac(region.start, unit, 1), mult_frac(region.end, unit, 1)};
  for (auto block = memory_.at_or_above(bytes.start);
       block != memory_.blocks().end() && block->physical.start < bytes.end; ++block) {
    fn(play_.machine().residency(block->pid),
       {block->to_virtual(std::max(bytes.start, block->physical.start)),
        block->to_virtual(std::min(bytes.end, block->physical.end))});
  }
}

}  // namespace damonfs
