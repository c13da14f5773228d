// Accesses by soft-dirty bits: writes only.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <span>
#include <string_view>
#include <vector>

#include "core/base/clock.h"
#include "core/base/result.h"
#include "ops/backend/vaddr_backend.h"
#include "ops/base/warn_once.h"
#include "ops/pages/pagemap.h"
#include "ops/procfs/paths.h"
#include "ops/soft_dirty/soft_dirty_sweeper.h"

namespace damonfs {

// Notices writes by the kernel's soft-dirty bits (CONFIG_MEM_SOFT_DIRTY;
// Documentation/admin-guide/mm/soft-dirty.rst). What a user has to know:
//  - Reads are never seen.
//  - It is dear. To clear the bits the kernel walks the whole page table of a process and
//    write-protects every page, with its memory map held: about 70 ns a page, at once. The process
//    then takes a fault for each page that it writes to. So prepare() clears a process no more
//    often than each 10 ms, and takes no more than a hundredth of the time for it: of one of 4 GiB
//    about each 7 s. Between two clearings a bit that was set already counts as an access for up to
//    2 s after the last one, and tells nothing later. Sweeps (SoftDirtySweeper) live on the same
//    clearings; they make one 12 to 40 ns a page longer, which the spacing counts.
//  - Others that use soft-dirty bits of the same process (CRIU) are disturbed.
// A process whose bits cannot be cleared is not accessed, with one warning an errno. A huge page
// counts as a whole. Same ownership and thread rule as VaddrBackend.
class SoftDirtyBackend final : public VaddrBackend {
 public:
  // ENOSYS when the kernel keeps no soft-dirty bits, which is tried on our own memory; EPERM and
  // the like when pagemap cannot be read.
  static Result<std::unique_ptr<SoftDirtyBackend>> open(const Paths& paths);
  static Result<std::unique_ptr<SoftDirtyBackend>> open(const Paths& paths, const Clock& clock);

  // Without asking what the kernel has; for tests on plain files. `clock`, by which clearings are
  // spaced, outlives it.
  explicit SoftDirtyBackend(const Clock& clock) : clock_(&clock) {}

  void prepare(std::span<Sample> samples) override;
  void check(std::span<Sample> samples) override;
  void look(std::span<Sample> samples) override;
  [[nodiscard]] Sweeper* sweeper() override { return &sweeper_; }

 private:
  // What is known of a process's bits. Times are the clock's, in ns.
  struct Clearing {
    uint64_t last = 0;
    uint64_t next = 0;  // not before
    bool used = true;   // by the last prepare()
  };
  // Clears those of `process` if it is time. False when that is not possible.
  bool clear(const Target& target, Clearing& clearing);

  const Clock* clock_;
  PagemapReader pagemap_;
  SoftDirtySweeper sweeper_;
  std::map<std::shared_ptr<TargetHandle>, Clearing> clearings_;
  std::vector<bool> written_before_;     // parallel to the samples of the last prepare()
  std::set<const Target*> not_cleared_;  // by the last prepare()
  WarnOnce warn_;
};

}  // namespace damonfs
