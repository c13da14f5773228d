// The filters that operations on virtual addresses answer, page by page.
#pragma once

#include <span>

#include "core/filters.h"
#include "core/ranges.h"
#include "ops/backend/young_test.h"
#include "ops/base/warn_once.h"
#include "ops/filters/folio_filters.h"
#include "ops/pages/kpageflags.h"
#include "ops/pages/process_pages.h"

namespace damonfs {

// Asks a scheme's ops filters (design.rst, "Filters") about pages of processes. The first filter
// that matches a page decides, Filters::ops_default_reject() where none does. Owned by one
// VaddrActions, same thread.
//
// A page that is not there is of no type, but for a swapped-out one, which is anonymous. A page
// that is there is mapped, so that `unmapped` is true of none. A memory cgroup that is no more has
// no page. When a question cannot be answered (no YoungTest; no right to know page frames) nothing
// passes, with one warning.
class VaddrFilters {
 public:
  // `frames` and `ages` must outlive it; `ages` may be null.
  VaddrFilters(Paths paths, Kpageflags& frames, YoungTest* ages);

  // The parts of `spans` that pass, as few ranges as can be. `present` are the pages of them that
  // are there, by `pages`, which is of `process`.
  [[nodiscard]] RangeList passing(const Filters& filters, const Process& process,
                                  ProcessPages& pages, std::span<const AddrRange> spans,
                                  std::span<const AddrRange> present);

 private:
  struct Batch;

  // False when a filter cannot be answered.
  bool pass_present(const Filters& filters, const Process& process, ProcessPages& pages,
                    std::span<const AddrRange> present, RangeList& passed);
  bool decide(const Filters& filters, Batch& batch);
  bool ask(const Filter& filter, Batch& batch, std::span<bool> applies);
  bool find_folios(Batch& batch);

  Paths paths_;
  Kpageflags& frames_;
  FolioFilters folio_filters_;
  YoungTest* ages_;
  WarnOnce warn_;
};

}  // namespace damonfs
