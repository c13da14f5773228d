#include "ops/synthetic.h"

#include <cerrno>

#include "core/context.h"
#include "ops/pattern_player.h"

namespace damonfs {
namespace {

const SyntheticProcess& process_of(const Target& target) {
  return static_cast<const SyntheticProcess&>(*target.handle);
}

// Spreads `value` over all 64 bits (the finalizer of splitmix64: S. Vigna, public domain).
constexpr uint64_t mix(uint64_t value) {
  value += 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

// A number in [0, 1) from the upper bits of `value`.
constexpr double unit_interval(uint64_t value) {
  return static_cast<double>(value >> 11) * 0x1p-53;
}

// Calls `fn` for each stretch of `items` that is of one target.
template <class Item, class Fn>
void for_each_target(std::span<Item> items, const Fn& fn) {
  for (size_t first = 0; first < items.size();) {
    size_t end = first + 1;
    while (end < items.size() && items[end].target == items[first].target) ++end;
    fn(process_of(*items[first].target), items.subspan(first, end - first));
    first = end;
  }
}

}  // namespace

Result<std::shared_ptr<SyntheticProcess>> SyntheticProcess::open(
    pid_t pid, std::shared_ptr<const Pattern> pattern) {
  const PatternProcess* process = pid > 0 ? pattern->find(pid) : nullptr;
  if (process == nullptr) return fail(ESRCH, "the pattern has no process {}", pid);
  return std::shared_ptr<SyntheticProcess>(new SyntheticProcess(pid, std::move(pattern), process));
}

bool SyntheticProcess::same_as(const TargetHandle& other) const {
  const auto* process = dynamic_cast<const SyntheticProcess*>(&other);
  return process != nullptr && process->pid_ == pid_ && process->process_ == process_;
}

SyntheticOperations::SyntheticOperations(OpsId id, std::shared_ptr<const Pattern> pattern,
                                         const Clock& clock, PatternClock* virtual_clock,
                                         std::shared_ptr<SyntheticMachine> machine)
    : VirtualOperations(id),
      pattern_(std::move(pattern)),
      clock_(&clock),
      virtual_clock_(virtual_clock),
      started_ns_(clock.now_ns()),
      machine_(machine ? std::move(machine) : std::make_shared<SyntheticMachine>(pattern_)),
      metrics_(*machine_, [this] { settle_for_metrics(); }) {}

void SyntheticOperations::init(Context& context) {
  started_ns_ = clock_->now_ns();
  interval_ = 0;
  interval_start_ns_ = 0;
  for (const Target& target : context.targets) {
    (void)machine_->residency(process_of(target).pid());  // in use from now on
  }
  context.metrics = &metrics_;
  if (virtual_clock_ != nullptr) virtual_clock_->fly_ns(pattern_->length_ns());
  VirtualOperations::init(context);
}

void SyntheticOperations::prepare(std::span<Sample> /*samples*/) {
  ++interval_;
  interval_start_ns_ = elapsed_ns();
}

void SyntheticOperations::check(std::span<Sample> samples) {
  interval_ns_ = elapsed_ns() - interval_start_ns_;
  for_each_target(samples, [this](const SyntheticProcess& process, std::span<Sample> of_one) {
    check_process(process, of_one);
  });
}

void SyntheticOperations::check_process(const SyntheticProcess& process,
                                        std::span<Sample> samples) {
  PatternChances& chances = chances_of(process.pattern());
  chances.set_interval(interval_start_ns_, interval_start_ns_ + interval_ns_);
  const uint64_t draw =
      mix(mix(mix(pattern_->seed) ^ static_cast<uint64_t>(process.pid())) ^ interval_);
  for (Sample& sample : samples) {
    const PatternChances::Part* part = chances.find(sample.addr);
    sample.leaf_sz = part == nullptr ? 0 : part->mapping->leaf_sz;
    sample.accessed = part != nullptr && part->chance > 0 &&
                      unit_interval(mix(draw ^ mix(sample.addr / sample.leaf_sz))) < part->chance;
  }
}

PatternChances& SyntheticOperations::chances_of(const PatternProcess& process) {
  return chances_.try_emplace(&process, process).first->second;
}

void SyntheticOperations::apply(const Scheme& scheme, std::span<Application> work) {
  const SyntheticActions::Now now{.ns = elapsed_ns(), .interval_ns = interval_ns_};
  machine_->settle(now.ns, now.interval_ns);
  for_each_target(work, [&](const SyntheticProcess& process, std::span<Application> of_one) {
    Residency& memory = machine_->residency(process.pid());
    if (!actions_.apply(scheme, of_one, memory, now)) VirtualOperations::apply(scheme, of_one);
  });
}

// Watermarks ask each sampling interval, and what comes back does so slowly.
void SyntheticOperations::settle_for_metrics() {
  constexpr uint64_t kOftenEnough = 100'000'000;
  const uint64_t now = elapsed_ns();
  if (now < settled_ns_ + kOftenEnough) return;
  settled_ns_ = now;
  machine_->settle(now, interval_ns_);
}

bool SyntheticOperations::target_valid(const Target& target) {
  const PatternProcess& process = process_of(target).pattern();
  return process.end != PatternEnd::exit || elapsed_ns() < process.length_ns();
}

Result<std::vector<AddrRange>> SyntheticOperations::mappings(const Target& target) {
  const uint64_t now = elapsed_ns();
  return PatternWindow(process_of(target).pattern(), now, now).mappings();
}

}  // namespace damonfs
