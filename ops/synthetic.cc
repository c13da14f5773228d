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
                                         const Clock& clock, PatternClock* virtual_clock)
    : VirtualOperations(id),
      pattern_(std::move(pattern)),
      clock_(&clock),
      virtual_clock_(virtual_clock),
      started_ns_(clock.now_ns()) {}

void SyntheticOperations::init(Context& context) {
  started_ns_ = clock_->now_ns();
  interval_ = 0;
  interval_start_ns_ = 0;
  if (virtual_clock_ != nullptr) virtual_clock_->fly_ns(pattern_->length_ns());
  VirtualOperations::init(context);
}

void SyntheticOperations::prepare(std::span<Sample> /*samples*/) {
  ++interval_;
  interval_start_ns_ = elapsed_ns();
}

void SyntheticOperations::check(std::span<Sample> samples) {
  for (size_t first = 0; first < samples.size();) {
    size_t end = first + 1;
    while (end < samples.size() && samples[end].target == samples[first].target) ++end;
    check_process(process_of(*samples[first].target), samples.subspan(first, end - first));
    first = end;
  }
}

void SyntheticOperations::check_process(const SyntheticProcess& process,
                                        std::span<Sample> samples) const {
  const PatternWindow window(process.pattern(), interval_start_ns_, elapsed_ns());
  const uint64_t draw =
      mix(mix(mix(pattern_->seed) ^ static_cast<uint64_t>(process.pid())) ^ interval_);
  for (Sample& sample : samples) {
    const PatternMapping* mapping = window.find(sample.addr);
    sample.leaf_sz = mapping == nullptr ? 0 : mapping->leaf_sz;
    sample.accessed =
        mapping != nullptr && unit_interval(mix(draw ^ mix(sample.addr / mapping->leaf_sz))) <
                                  window.chance(*mapping, sample.addr);
  }
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
