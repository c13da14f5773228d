#include "ops/synthetic.h"

#include <algorithm>
#include <cerrno>

#include "core/arithmetic.h"
#include "core/context.h"
#include "ops/page_size.h"
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

bool synthetic_answer(const ProbeFilter& filter, const Residency::Piece& piece, bool idle) {
  switch (filter.type) {
    case ProbeFilterType::anon:
      return !piece.mapping->file;
    case ProbeFilterType::memcg:
      return false;
    case ProbeFilterType::hugepage_size:
      return filter.min_sz <= piece.page_size() && piece.page_size() <= filter.max_sz;
    case ProbeFilterType::pgidle_unset:
      return !idle;
    case ProbeFilterType::pgidle_set:
      return idle;
  }
  return false;
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
      metrics_(*machine_, [this] { settle_now_and_then(); }) {}

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

void SyntheticOperations::prepare_probes(std::span<const Probe> /*probes*/,
                                         std::span<Sample> samples, bool accesses) {
  if (!accesses) prepare(samples);
}

void SyntheticOperations::apply_probes(std::span<const Probe> probes, std::span<Sample> samples,
                                       bool accesses) {
  if (!accesses) check(samples);
  settle_now_and_then();
  const bool made_idle =
      accesses || std::any_of(probes.begin(), probes.end(),
                              [](const auto& probe) { return !probe.preps.empty(); });
  for (Sample& sample : samples) {
    sample.probes_hit = hits(probes, sample, made_idle && !sample.accessed);
  }
}

uint8_t SyntheticOperations::hits(std::span<const Probe> probes, const Sample& sample, bool idle) {
  const uint64_t page = align_down(sample.addr, kPageSize);
  const SyntheticProcess& process = process_of(*sample.target);
  const double draw =
      unit_interval(mix(mix(pattern_->seed ^ static_cast<uint64_t>(process.pid())) ^ mix(page)));
  uint8_t hit = 0;
  machine_->residency(process.pid())
      .visit({page, page + kPageSize}, [&](const Residency::Piece& piece) {
        if (!sample.accessed && draw < piece.out) return;
        const auto answer = [&](const ProbeFilter& filter) {
          return synthetic_answer(filter, piece, idle);
        };
        for (size_t p = 0; p < probes.size(); ++p) {
          if (probes[p].hits(answer)) hit |= static_cast<uint8_t>(1U << p);
        }
      });
  return hit;
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

// Watermarks and probes ask each sampling interval, and what comes back does so slowly.
void SyntheticOperations::settle_now_and_then() {
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
