// What page-table entries say of the pages of samples.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "core/base/result.h"
#include "core/operations.h"
#include "ops/procfs/paths.h"

namespace damonfs {

// The entry that maps the page of a sample; a value.
struct PageEntry {
  bool mapped = false;  // all else is only said of what is
  bool young = false;   // its accessed bit is set
  uint64_t frame = 0;   // the page frame of the sample's page
  uint64_t size = 0;    // bytes that it maps
};

// Fills in an entry for each sample, and changes none in memory. The samples' targets carry a
// Process; one owner and thread.
using PteReader = std::function<void(std::span<const Sample>, std::span<PageEntry>)>;

// A reader that takes one system call for a thousand samples (PageWalker). Errors as
// AccessedBitClearer::create().
Result<PteReader> read_entries_by_walk(const Paths& paths);

}  // namespace damonfs
