// The rule by which every list of filters decides (design.rst, "Filters").
#pragma once

namespace damonfs {

// Whether `filters` let pass what `ask`, bool(const Filter&), answers their questions of: the first
// one whose answer is its `matching` decides, by `allow`; without one what the last does not say.
// No filters let all pass.
template <class List, class Ask>
[[nodiscard]] bool filters_pass(const List& filters, const Ask& ask) {
  for (const auto& filter : filters) {
    if (ask(filter) == filter.matching) return filter.allow;
  }
  return filters.empty() || !filters.back().allow;
}

}  // namespace damonfs
