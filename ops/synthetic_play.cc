#include "ops/synthetic_play.h"

#include <utility>

namespace damonfs {

SyntheticPlay::SyntheticPlay(std::shared_ptr<const Pattern> pattern, const Clock& clock,
                             PatternClock* virtual_clock, std::shared_ptr<SyntheticMachine> machine)
    : run_(pattern, clock, virtual_clock),
      machine_(machine ? std::move(machine)
                       : std::make_shared<SyntheticMachine>(std::move(pattern))),
      metrics_(*machine_, [this] { settle_for_metrics(); }) {}

void SyntheticPlay::start(Context& context) {
  run_.start();
  context.metrics = &metrics_;
}

SyntheticActions::Now SyntheticPlay::settle() {
  const SyntheticActions::Now now{.ns = run_.elapsed_ns(), .interval_ns = run_.interval_ns()};
  machine_->settle(now.ns, now.interval_ns);
  return now;
}

// Watermarks ask each sampling interval, and what comes back does so slowly.
void SyntheticPlay::settle_for_metrics() {
  constexpr uint64_t kOftenEnough = 100'000'000;
  const uint64_t now = run_.elapsed_ns();
  if (now < settled_ns_ + kOftenEnough) return;
  settled_ns_ = now;
  machine_->settle(now, run_.interval_ns());
}

}  // namespace damonfs
