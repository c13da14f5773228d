#include "ops/synthetic/pattern_run.h"

namespace damonfs {
namespace {

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

PatternRun::PatternRun(std::shared_ptr<const Pattern> pattern, const Clock& clock,
                       PatternClock* virtual_clock)
    : pattern_(std::move(pattern)),
      clock_(&clock),
      virtual_clock_(virtual_clock),
      started_ns_(clock.now_ns()) {}

void PatternRun::start() {
  started_ns_ = clock_->now_ns();
  interval_ = 0;
  interval_start_ns_ = 0;
  if (virtual_clock_ != nullptr) virtual_clock_->fly_ns(pattern_->length_ns());
}

void PatternRun::begin_interval() {
  ++interval_;
  interval_start_ns_ = elapsed_ns();
}

PatternRun::Accesses PatternRun::accesses_of(const PatternProcess& process, pid_t pid) {
  PatternChances& chances = chances_.try_emplace(&process, process).first->second;
  chances.set_interval(interval_start_ns_, interval_start_ns_ + interval_ns_);
  return {chances, mix(mix(mix(pattern_->seed) ^ static_cast<uint64_t>(pid)) ^ interval_)};
}

double PatternRun::draw_of_page(pid_t pid, uint64_t page) const {
  return unit_interval(mix(mix(pattern_->seed ^ static_cast<uint64_t>(pid)) ^ mix(page)));
}

PatternRun::Accesses::Page PatternRun::Accesses::at(uint64_t addr) const {
  const PatternChances::Part* part = chances_->find(addr);
  if (part == nullptr) return {};
  const uint64_t leaf_sz = part->mapping->leaf_sz;
  if (part->mapping->unknown) return {.unknown = true, .leaf_sz = leaf_sz};
  const bool accessed =
      part->chance > 0 && unit_interval(mix(draw_ ^ mix(addr / leaf_sz))) < part->chance;
  return {.accessed = accessed, .leaf_sz = leaf_sz};
}

}  // namespace damonfs
