#include "ops/pattern_player.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/page_size.h"

namespace damonfs {
namespace {

struct Position {
  const PatternPhase* phase;  // null: behind the end of a process that exits
  uint64_t left_ns;           // of the phase
};

Position position(const PatternProcess& process, uint64_t time_ns) {
  const uint64_t length = process.length_ns();
  if (process.end == PatternEnd::loop) time_ns %= length;
  for (const PatternPhase& phase : process.phases) {
    if (time_ns < phase.duration_ns) {
      const bool lasts = process.end == PatternEnd::hold && &phase == &process.phases.back();
      return {&phase, lasts ? UINT64_MAX : phase.duration_ns - time_ns};
    }
    time_ns -= phase.duration_ns;
  }
  if (process.end == PatternEnd::exit) return {nullptr, UINT64_MAX};
  return {&process.phases.back(), UINT64_MAX};
}

// Expected accesses of one page over `seconds`, which are `share` of an interval.
double expected(const PatternRate& rate, double seconds, double share) {
  if (rate.always) return std::numeric_limits<double>::infinity();
  if (rate.per_interval > 0) return -std::log1p(-rate.per_interval) * share;
  return rate.per_second * seconds;
}

}  // namespace

PatternWindow::PatternWindow(const PatternProcess& process, uint64_t from_ns, uint64_t to_ns)
    : process_(&process), last_(position(process, to_ns).phase) {
  uint64_t length = to_ns - from_ns;
  if (length == 0) {
    if (last_ != nullptr) parts_.push_back({last_, 0, 1});
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
    const Position here = position(process, at);
    if (here.phase == nullptr) break;
    const uint64_t step = std::min(here.left_ns, length);
    const double ns = static_cast<double>(step) * repeats;
    parts_.push_back({here.phase, ns / 1e9, ns / whole});
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
      sum += static_cast<double>(pages) * expected(access.rate, part.seconds, part.share);
    }
  }
  return -std::expm1(-sum);
}

std::vector<AddrRange> PatternWindow::mappings() const {
  std::vector<AddrRange> ranges;
  for (const PatternMapping& mapping : process_->mappings) {
    if (last_ != nullptr && present(*last_, mapping)) ranges.push_back(mapping.range);
  }
  return ranges;
}

}  // namespace damonfs
