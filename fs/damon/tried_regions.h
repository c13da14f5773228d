// The regions that schemes were last applied to, as directories below schemes/S/tried_regions.
#pragma once

#include <memory>
#include <vector>

#include "core/kdamond.h"
#include "fs/damon/sysfs_objects.h"
#include "fs/tree/node.h"

namespace damonfs {

// The tried_regions directories of one context, scheme by scheme. It holds them, so that whoever
// unlocked the tree still has the same ones after; some may have left the tree meanwhile. Used
// under the tree's lock.
class TriedRegions {
 public:
  // Of the context 0 of the directory `kdamond`, whose files are `files`.
  TriedRegions(const Directory& kdamond, const SysfsContext& files);

  [[nodiscard]] size_t nr_schemes() const { return schemes_.size(); }

  // Removes every region and zeroes the sums.
  void clear();

  // What a walk found, scheme by scheme.
  struct Found {
    uint64_t sz = 0;  // in units of address
    std::vector<SysfsTriedRegion> regions;
  };
  // Shows it; directories that left the tree are passed over.
  void fill(const std::vector<Found>& found);

 private:
  struct OfScheme {
    std::shared_ptr<Directory> directory;
    std::shared_ptr<SysfsScheme> files;
  };
  std::vector<OfScheme> schemes_;
};

// Has the running schemes report the regions of their next application, the first `nr_schemes` of
// them; sums only if `sizes_only`. Waits, without the tree's lock. Errors as Kdamond::walk().
Result<std::vector<TriedRegions::Found>> walk_schemes(Kdamond& kdamond, size_t nr_schemes,
                                                      bool sizes_only,
                                                      const std::stop_token& interrupt);

}  // namespace damonfs
