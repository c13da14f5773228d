// Accesses by soft-dirty bits: writes only.
#pragma once

#include <memory>
#include <set>
#include <span>
#include <string_view>

#include "core/base/result.h"
#include "ops/backend/accessed_bits.h"
#include "ops/base/warn_once.h"
#include "ops/pages/pagemap.h"
#include "ops/procfs/paths.h"

namespace damonfs {

// Notices writes by the kernel's soft-dirty bits (CONFIG_MEM_SOFT_DIRTY;
// Documentation/admin-guide/mm/soft-dirty.rst). What a user has to know:
//  - Reads are never seen.
//  - It is dear. prepare() has the kernel walk the whole page table of each process and
//    write-protect every page, and the process then takes a fault for each page that it writes to,
//    each sampling interval. Use long intervals.
//  - Others that use soft-dirty bits of the same process (CRIU) are disturbed.
// A process whose bits cannot be cleared is not accessed, with one warning an errno. A huge page
// counts as a whole. Same ownership and thread rule as VaddrBackend.
class SoftDirty final : public VaddrBackend {
 public:
  // ENOSYS when the kernel keeps no soft-dirty bits, which is tried on our own memory; EPERM and
  // the like when pagemap cannot be read.
  static Result<std::unique_ptr<SoftDirty>> open(const Paths& paths);

  // Without asking what the kernel has; for tests on plain files.
  SoftDirty() = default;

  void prepare(std::span<Sample> samples) override;
  void check(std::span<Sample> samples) override;
  void look(std::span<Sample> samples) override;
  [[nodiscard]] std::string_view name() const override { return "soft-dirty"; }

 private:
  PagemapReader pagemap_;
  std::set<const Target*> not_cleared_;  // by the last prepare()
  WarnOnce warn_;
};

}  // namespace damonfs
