// The filters that are answered by what the kernel tells of a folio, whosever memory it is.
#pragma once

#include <span>
#include <utility>

#include "core/filters.h"
#include "ops/base/warn_once.h"
#include "ops/pages/kpageflags.h"
#include "ops/procfs/paths.h"

namespace damonfs {

// Answers a scheme's filters `active` (on an active list), `hugepage_size` (the folio's size lies
// between the two, whatever maps it) and `memcg` (charged to that memory cgroup; one that is no
// more has none). Owned by what asks, same thread.
class FolioFilters {
 public:
  explicit FolioFilters(Paths paths) : paths_(std::move(paths)), cgroups_(paths_) {}

  // Sets applies[i] to the answer of the filter's question of folios[i]. False, with one warning,
  // when it cannot be answered.
  bool ask(const Filter& filter, std::span<const Folio> folios, std::span<bool> applies);

 private:
  bool ask_memcg(const Filter& filter, std::span<const Folio> folios, std::span<bool> applies);

  Paths paths_;
  Kpagecgroup cgroups_;
  WarnOnce warn_;
};

}  // namespace damonfs
