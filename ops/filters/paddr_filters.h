// The filters that operations on physical addresses answer, folio by folio.
#pragma once

#include <span>

#include "core/filters.h"
#include "ops/backend/paddr_backend.h"
#include "ops/filters/folio_filters.h"
#include "ops/pages/kpageflags.h"
#include "ops/procfs/paths.h"

namespace damonfs {

// Asks a scheme's ops filters (design.rst, "Filters") about folios, by what the kernel tells of
// their frames; the first filter that matches decides, Filters::ops_default_reject() where none
// does. When a question cannot be answered nothing passes, with one warning. Owned by one
// PaddrActions, same thread.
//
//   anon      private memory, not of a file nor of tmpfs
//   young     as the backend has it (PaddrBackend::young()), which makes it old
//   unmapped  no process maps it: page cache, mostly
//   active, memcg, hugepage_size: see FolioFilters
class PaddrFilters {
 public:
  // `bits` must outlive it.
  PaddrFilters(const Paths& paths, PaddrBackend& bits) : folio_filters_(paths), bits_(bits) {}

  // Sets passes[i] to whether folios[i] does.
  void ask(const Filters& filters, std::span<const Folio> folios, std::span<bool> passes);

 private:
  // False when it cannot be answered.
  bool ask_one(const Filter& filter, std::span<const Folio> folios, std::span<bool> applies);

  FolioFilters folio_filters_;
  PaddrBackend& bits_;
};

}  // namespace damonfs
