#include "ops/filters/vaddr_filters.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include "core/filter_rule.h"

namespace damonfs {

namespace {

// Addresses whose pages are asked about together: a multiple of what one accessed bit can cover.
constexpr uint64_t kFilterWindow = uint64_t{64} << 20;

// What becomes of a page that is not there.
bool absent_passes(const Filters& filters, bool swapped) {
  return filters_pass(filters.ops, [swapped](const Filter& filter) {
    return swapped && filter.type == FilterType::anon;
  });
}

}  // namespace

// Pages about which some filter is still to decide, and those that pass. Parallel arrays.
struct VaddrFilters::Batch {
  const Process& process;
  std::vector<uint64_t> addrs;
  std::vector<PagemapEntry> entries;
  std::vector<Folio> folios;  // empty until a filter needs them
  std::vector<uint64_t> passed;

  explicit Batch(const Process& of) : process(of) {}

  // Takes out the pages at which `decided` is set; they pass when `allow`.
  void take_out(std::span<const bool> decided, bool allow) {
    size_t kept = 0;
    for (size_t i = 0; i < addrs.size(); ++i) {
      if (decided[i]) {
        if (allow) passed.push_back(addrs[i]);
        continue;
      }
      addrs[kept] = addrs[i];
      entries[kept] = entries[i];
      if (!folios.empty()) folios[kept] = folios[i];
      ++kept;
    }
    addrs.resize(kept);
    entries.resize(kept);
    if (!folios.empty()) folios.resize(kept);
  }
};

VaddrFilters::VaddrFilters(Paths paths, Kpageflags& frames, YoungTest* ages)
    : paths_(std::move(paths)), frames_(frames), folio_filters_(paths_), ages_(ages) {}

RangeList VaddrFilters::passing(const Filters& filters, const Process& process, ProcessPages& pages,
                                std::span<const AddrRange> spans,
                                std::span<const AddrRange> present) {
  RangeList passed;
  if (!pass_present(filters, process, pages, present, passed)) return {};
  RangeList absent = subtract(spans, present);
  const bool pass = absent_passes(filters, false);
  if (pass == absent_passes(filters, true)) {
    if (!pass) absent.clear();
  } else {
    const RangeList swapped = pages.find(PageState::swapped, absent);
    absent = pass ? subtract(absent, swapped) : swapped;
  }
  return unite(passed, absent);
}

bool VaddrFilters::pass_present(const Filters& filters, const Process& process, ProcessPages& pages,
                                std::span<const AddrRange> present, RangeList& passed) {
  for (const RangeList& window : by_window(present, kFilterWindow)) {
    Batch batch(process);
    for (const ProcessPages::Page& page : pages.present_pages(window)) {
      batch.addrs.push_back(page.addr);
      batch.entries.push_back(page.entry);
    }
    if (!decide(filters, batch)) return false;
    std::sort(batch.passed.begin(), batch.passed.end());
    for (const uint64_t addr : batch.passed) append_joined(passed, {addr, addr + kPageSize});
  }
  return true;
}

bool VaddrFilters::decide(const Filters& filters, Batch& batch) {
  const auto answers = std::make_unique<bool[]>(batch.addrs.size());
  for (const Filter& filter : filters.ops) {
    const std::span<bool> decided(answers.get(), batch.addrs.size());
    if (decided.empty()) return true;
    if (!ask(filter, batch, decided)) return false;
    for (bool& answer : decided) answer = answer == filter.matching;
    batch.take_out(decided, filter.allow);
  }
  const std::span<bool> rest(answers.get(), batch.addrs.size());
  std::fill(rest.begin(), rest.end(), true);
  batch.take_out(rest, !filters.ops_default_reject());
  return true;
}

bool VaddrFilters::ask(const Filter& filter, Batch& batch, std::span<bool> applies) {
  switch (filter.type) {
    case FilterType::anon:
      std::transform(batch.entries.begin(), batch.entries.end(), applies.begin(),
                     [](const PagemapEntry& entry) { return !entry.of_file(); });
      return true;
    case FilterType::young:
      if (ages_ == nullptr) {
        warn_("young",
              "a scheme's filter asks for young pages, which this backend cannot tell:"
              " nothing passes it");
        return false;
      }
      ages_->young(batch.process, batch.addrs, applies);
      return true;
    case FilterType::active:
    case FilterType::memcg:
    case FilterType::hugepage_size:
      return find_folios(batch) && folio_filters_.ask(filter, batch.folios, applies);
    case FilterType::unmapped:
    case FilterType::addr:
    case FilterType::target:
    case FilterType::probe_hits_wsum:
      break;
  }
  std::fill(applies.begin(), applies.end(), false);
  return true;
}

bool VaddrFilters::find_folios(Batch& batch) {
  if (!batch.folios.empty()) return true;
  std::vector<uint64_t> frames(batch.entries.size());
  std::transform(batch.entries.begin(), batch.entries.end(), frames.begin(),
                 [](const PagemapEntry& entry) { return entry.pfn(); });
  int error = std::find(frames.begin(), frames.end(), 0) == frames.end() ? 0 : EPERM;
  batch.folios.resize(frames.size());
  if (error == 0) error = frames_.folios(frames, batch.folios);
  if (error == 0) return true;
  warn_("folios",
        "a scheme's filter asks what kind of page frames it has: {}/kpageflags: {}:"
        " nothing passes it",
        paths_.proc, std::strerror(error));
  return false;
}

}  // namespace damonfs
