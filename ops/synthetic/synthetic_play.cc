#include "ops/synthetic/synthetic_play.h"

#include <utility>

#include "core/base/arithmetic.h"
#include "core/base/page_size.h"

namespace damonfs {
namespace {

bool synthetic_answer(const ProbeFilter& filter, const Residency::Piece& piece, bool idle) {
  switch (filter.type) {
    case ProbeFilterType::anon:
      return !piece.mapping->file;
    case ProbeFilterType::memcg:
      return false;
    case ProbeFilterType::hugepage_size:
      return filter.in_bounds(piece.page_size());
    case ProbeFilterType::pgidle_unset:
      return !idle;
    case ProbeFilterType::pgidle_set:
      return idle;
  }
  return false;
}

}  // namespace

SyntheticPlay::SyntheticPlay(std::shared_ptr<const Pattern> pattern, const Clock& clock,
                             PatternClock* virtual_clock, std::shared_ptr<SyntheticMachine> machine)
    : run_(pattern, clock, virtual_clock),
      machine_(machine ? std::move(machine)
                       : std::make_shared<SyntheticMachine>(std::move(pattern))),
      metrics_(*machine_, [this] { settle_now_and_then(); }) {}

void SyntheticPlay::start(Context& context) {
  run_.start();
  context.metrics = &metrics_;
}

uint8_t SyntheticPlay::hits(std::span<const Probe> probes, bool accesses, const SampledPage& page) {
  const bool made_idle = accesses || prepare_idle(probes);
  const uint64_t start = align_down(page.addr, kPageSize);
  const double draw = run_.draw_of_page(page.pid, start);
  uint8_t hit = 0;
  machine_->residency(page.pid).visit(
      {start, start + kPageSize}, [&](const Residency::Piece& piece) {
        if (!page.accessed && draw < piece.out) return;
        const auto answer = [&](const ProbeFilter& filter) {
          return synthetic_answer(filter, piece, made_idle && !page.accessed);
        };
        for (size_t p = 0; p < probes.size(); ++p) {
          if (probes[p].hits(answer)) hit |= static_cast<uint8_t>(1U << p);
        }
      });
  return hit;
}

SyntheticActions::Now SyntheticPlay::settle() {
  const SyntheticActions::Now now{.ns = run_.elapsed_ns(), .interval_ns = run_.interval_ns()};
  machine_->settle(now.ns, now.interval_ns);
  return now;
}

void SyntheticPlay::settle_now_and_then() {
  constexpr uint64_t kOftenEnough = 100'000'000;
  const uint64_t now = run_.elapsed_ns();
  if (now < settled_ns_ + kOftenEnough) return;
  settled_ns_ = now;
  machine_->settle(now, run_.interval_ns());
}

}  // namespace damonfs
