// What watching virtual address spaces has in common, be they of processes or of described ones.
#pragma once

#include <vector>

#include "core/base/result.h"
#include "core/operations.h"
#include "core/region.h"
#include "ops/base/warn_once.h"

namespace damonfs {

// The part of vaddr and fvaddr that does not depend on where accesses are learnt from: how targets
// get their regions. Same ownership and thread rule as Operations.
class VirtualOperations : public Operations {
 public:
  // `id` is vaddr, whose targets follow their address space, or fvaddr, whose targets keep exactly
  // the regions that the user gave.
  explicit VirtualOperations(OpsId id) : follows_(id == OpsId::vaddr) {}

  // vaddr: gives each target without regions the three regions of its mappings (three_regions.h),
  // or what of them is populated (sparse_regions.h) where it is swept and they are vast and empty;
  // one whose address space cannot be read or has too few mappings stays without, which is warned
  // of, and may get them at an update. That there are min_nr_regions of them is core's work.
  void init(Context& context) override;

  // vaddr: fits every target's regions to the ranges that init() would give it now, those
  // that the user gave as well; a target where that fails keeps what it has.
  void update(Context& context) override;

 protected:
  // The mappings of `target` now: ascending, not overlapping, bytes.
  [[nodiscard]] virtual Result<std::vector<AddrRange>> mappings(const Target& target) = 0;

 private:
  // Fits the target's regions to what is mapped now.
  Result<void> follow(Context& context, Target& target);

  bool follows_;
  WarnOnce warn_;
};

}  // namespace damonfs
