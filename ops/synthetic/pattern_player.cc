#include "ops/synthetic/pattern_player.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/base/arithmetic.h"
#include "core/base/page_size.h"

namespace damonfs {
namespace {

// Expected accesses of one page over `seconds`, which are as many sampling intervals.
double expected(const PatternRate& rate, double seconds, double intervals) {
  if (rate.always) return std::numeric_limits<double>::infinity();
  if (rate.per_interval > 0) return -std::log1p(-rate.per_interval) * intervals;
  return rate.per_second * seconds;
}

}  // namespace

PhaseRun phase_at(const PatternProcess& process, uint64_t time_ns) {
  uint64_t start = 0;
  if (process.end == PatternEnd::loop) start = align_down(time_ns, process.length_ns());
  for (const PatternPhase& phase : process.phases) {
    const bool lasts = process.end == PatternEnd::hold && &phase == &process.phases.back();
    const uint64_t end = lasts ? UINT64_MAX : start + phase.duration_ns;
    if (time_ns < end) return {&phase, start, end};
    start = end;
  }
  return {nullptr, start, UINT64_MAX};
}

PatternWindow::PatternWindow(const PatternProcess& process, uint64_t from_ns, uint64_t to_ns,
                             double intervals)
    : process_(&process), last_(phase_at(process, to_ns).phase) {
  uint64_t length = to_ns - from_ns;
  if (length == 0) {
    if (last_ != nullptr) parts_.push_back({last_, 0, intervals});
    return;
  }
  const auto whole = static_cast<double>(length);
  double repeats = 1;
  const uint64_t pattern_length = process.length_ns();
  if (process.end == PatternEnd::loop && length > pattern_length) {
    // Whole loops count alike, so that the work is bounded by the pattern.
    repeats = whole / static_cast<double>(pattern_length);
    length = pattern_length;
  }
  for (uint64_t at = from_ns; length > 0;) {
    const PhaseRun here = phase_at(process, at);
    if (here.phase == nullptr) break;
    const uint64_t step = std::min(here.to_ns - at, length);
    const double ns = static_cast<double>(step) * repeats;
    parts_.push_back({here.phase, ns / 1e9, ns / whole * intervals});
    at += step;
    length -= step;
  }
}

bool PatternWindow::present(const PatternPhase& phase, const PatternMapping& mapping) const {
  const auto index = static_cast<size_t>(&mapping - process_->mappings.data());
  return std::find(phase.absent.begin(), phase.absent.end(), index) == phase.absent.end();
}

const PatternMapping* PatternWindow::find(uint64_t addr) const {
  if (last_ == nullptr) return nullptr;
  const auto above = std::upper_bound(
      process_->mappings.begin(), process_->mappings.end(), addr,
      [](uint64_t a, const PatternMapping& mapping) { return a < mapping.range.start; });
  if (above == process_->mappings.begin()) return nullptr;
  const PatternMapping& mapping = *std::prev(above);
  return addr < mapping.range.end && present(*last_, mapping) ? &mapping : nullptr;
}

double PatternWindow::chance(const PatternMapping& mapping, uint64_t addr) const {
  const uint64_t start = addr - addr % mapping.leaf_sz;
  const AddrRange leaf{start, start + mapping.leaf_sz};
  double sum = 0;
  for (const Part& part : parts_) {
    if (!present(*part.phase, mapping)) continue;
    for (const PatternAccess& access : part.phase->accesses) {
      if (!access.range.overlaps(leaf)) continue;
      const AddrRange both{std::max(access.range.start, leaf.start),
                           std::min(access.range.end, leaf.end)};
      const uint64_t pages = both.size() / kPageSize;
      sum += static_cast<double>(pages) * expected(access.rate, part.seconds, part.intervals);
    }
  }
  return -std::expm1(-sum);
}

bool PatternWindow::stays(const PatternMapping& mapping) const {
  return last_ != nullptr && present(*last_, mapping) &&
         std::all_of(parts_.begin(), parts_.end(),
                     [&](const Part& part) { return present(*part.phase, mapping); });
}

std::vector<AddrRange> PatternWindow::mappings() const {
  std::vector<AddrRange> ranges;
  for (const PatternMapping& mapping : process_->mappings) {
    if (last_ != nullptr && present(*last_, mapping)) ranges.push_back(mapping.range);
  }
  return ranges;
}

}  // namespace damonfs
