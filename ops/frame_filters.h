// The filters that operations on physical addresses answer, folio by folio.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "core/filters.h"
#include "ops/page_frames.h"
#include "ops/paths.h"
#include "ops/physical_bits.h"
#include "ops/warn_once.h"

namespace damonfs {

// Sets applies[i] to whether the folio with the first frame heads[i] is charged to the memory
// cgroup at `path` below the cgroup mount; a cgroup that is no more has none. Returns an errno, 0
// for success.
int ask_memcg(const Paths& paths, PageFrames& frames, const std::string& path,
              std::span<const uint64_t> heads, std::span<bool> applies);

// Asks a scheme's ops filters (design.rst, "Filters") about folios, by what the kernel tells of
// their frames; the first filter that matches decides, Filters::ops_default_reject() where none
// does. When a question cannot be answered nothing passes, with one warning. Owned by one
// PhysicalActions, same thread.
//
//   anon           private memory, not of a file nor of tmpfs
//   active         on an active list
//   memcg          charged to that memory cgroup
//   young          as the backend has it (PhysicalBits::young()), which makes it old
//   hugepage_size  the folio's size lies between the two, whatever maps it
//   unmapped       no process maps it: page cache, mostly
class FrameFilters {
 public:
  // `frames` and `bits` must outlive it.
  FrameFilters(Paths paths, PageFrames& frames, PhysicalBits& bits);

  // Sets passes[i] to whether folios[i] does.
  void ask(const Filters& filters, std::span<const Folio> folios, std::span<bool> passes);

 private:
  // False when it cannot be answered.
  bool ask_one(const Filter& filter, std::span<const Folio> folios, std::span<bool> applies);

  Paths paths_;
  PageFrames& frames_;
  PhysicalBits& bits_;
  WarnOnce warn_;
};

}  // namespace damonfs
