#include "ops/filters/paddr_filters.h"

#include <algorithm>
#include <memory>
#include <vector>

namespace damonfs {

void PaddrFilters::ask(const Filters& filters, std::span<const Folio> folios,
                       std::span<bool> passes) {
  std::fill(passes.begin(), passes.end(), false);
  // Those that no filter has decided about, by their number.
  std::vector<Folio> open(folios.begin(), folios.end());
  std::vector<size_t> number(folios.size());
  for (size_t i = 0; i < number.size(); ++i) number[i] = i;
  const auto answers = std::make_unique<bool[]>(folios.size());
  for (const Filter& filter : filters.ops) {
    const std::span<bool> applies(answers.get(), open.size());
    if (open.empty()) return;
    if (!ask_one(filter, open, applies)) {
      std::fill(passes.begin(), passes.end(), false);
      return;
    }
    size_t kept = 0;
    for (size_t i = 0; i < open.size(); ++i) {
      if (applies[i] == filter.matching) {
        passes[number[i]] = filter.allow;
        continue;
      }
      open[kept] = open[i];
      number[kept++] = number[i];
    }
    open.resize(kept);
    number.resize(kept);
  }
  for (const size_t i : number) passes[i] = !filters.ops_default_reject();
}

bool PaddrFilters::ask_one(const Filter& filter, std::span<const Folio> folios,
                           std::span<bool> applies) {
  const auto by_flag = [&](uint64_t flag, bool set) {
    std::transform(folios.begin(), folios.end(), applies.begin(),
                   [=](const Folio& folio) { return ((folio.flags & flag) != 0) == set; });
    return true;
  };
  switch (filter.type) {
    case FilterType::anon:
      return by_flag(frame_flags::kAnon, true);
    case FilterType::unmapped:
      return by_flag(frame_flags::kMapped, false);
    case FilterType::young:
      bits_.young(folios, applies);
      return true;
    case FilterType::active:
    case FilterType::memcg:
    case FilterType::hugepage_size:
      return folio_filters_.ask(filter, folios, applies);
    case FilterType::addr:
    case FilterType::target:
    case FilterType::probe_hits_wsum:
      break;
  }
  std::fill(applies.begin(), applies.end(), false);
  return true;
}

}  // namespace damonfs
