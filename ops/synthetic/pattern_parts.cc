#include "ops/synthetic/pattern_parts.h"

#include <algorithm>

#include "core/base/arithmetic.h"
#include "ops/synthetic/pattern_player.h"

namespace damonfs {
namespace {

// Where the parts of `mapping` begin and end, in ascending order.
std::vector<uint64_t> borders_of(const PatternProcess& process, const PatternMapping& mapping) {
  std::vector<uint64_t> borders{mapping.range.start, mapping.range.end};
  for (const PatternPhase& phase : process.phases) {
    for (const PatternAccess& access : phase.accesses) {
      if (!access.range.overlaps(mapping.range)) continue;
      // A leaf that is accessed in part is a part of its own.
      for (const uint64_t border : {access.range.start, access.range.end}) {
        borders.push_back(align_down(border, mapping.leaf_sz));
        borders.push_back(align_up(border, mapping.leaf_sz));
      }
    }
  }
  std::sort(borders.begin(), borders.end());
  borders.erase(std::unique(borders.begin(), borders.end()), borders.end());
  return borders;
}

}  // namespace

std::vector<PatternPart> parts_of(const PatternProcess& process) {
  std::vector<PatternPart> parts;
  for (const PatternMapping& mapping : process.mappings) {
    const std::vector<uint64_t> borders = borders_of(process, mapping);
    for (size_t i = 1; i < borders.size(); ++i) {
      parts.push_back({{borders[i - 1], borders[i]}, &mapping});
    }
  }
  return parts;
}

PatternChances::PatternChances(const PatternProcess& process)
    : process_(&process), all_(parts_of(process)), parts_(all_.size()) {}

void PatternChances::set_interval(uint64_t from_ns, uint64_t to_ns) {
  const uint64_t length = to_ns - from_ns;
  if (length == length_ns_ && from_ns >= valid_from_ns_ && to_ns < valid_to_ns_) return;
  const PatternWindow window(*process_, from_ns, to_ns);
  for (size_t i = 0; i < all_.size(); ++i) {
    const auto& [range, mapping] = all_[i];
    parts_[i] = {range, window.find(range.start), window.chance(*mapping, range.start)};
  }
  const PhaseRun run = phase_at(*process_, from_ns);
  length_ns_ = length;
  valid_from_ns_ = run.from_ns;
  // An interval that reaches over the phase's end is alone of its kind.
  valid_to_ns_ = to_ns < run.to_ns ? run.to_ns : 0;
}

const PatternChances::Part* PatternChances::find(uint64_t addr) const {
  const auto above =
      std::upper_bound(parts_.begin(), parts_.end(), addr,
                       [](uint64_t a, const Part& part) { return a < part.range.start; });
  if (above == parts_.begin()) return nullptr;
  const Part& part = *std::prev(above);
  return addr < part.range.end && part.mapping != nullptr ? &part : nullptr;
}

}  // namespace damonfs
