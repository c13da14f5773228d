#include "ops/vaddr/virtual_operations.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "core/context.h"
#include "core/ranges.h"
#include "core/sweep.h"
#include "ops/vaddr/sparse_regions.h"
#include "ops/vaddr/three_regions.h"

namespace damonfs {

Result<void> VirtualOperations::follow(Context& context, Target& target) {
  const auto mapped = mappings(target);
  if (!mapped) return tl::unexpected(mapped.error());
  const auto three = find_three_regions(*mapped);
  if (!three) return tl::unexpected(three.error());
  Sweeper* const swept = context.sweep_bp != 0 ? sweeper() : nullptr;
  if (swept != nullptr && total_size(*three) >= kVast) {
    if (const auto populated = swept->populated(target)) {
      const size_t max_ranges = std::max<size_t>(context.attrs.max_nr_regions / 4, 3);
      const RangeList sparse = find_sparse_regions(*mapped, *populated, max_ranges);
      if (!sparse.empty() && total_size(sparse) < total_size(*three) / kSparse) {
        target.set_regions(sparse, context.min_region_sz);
        return {};
      }
    }
  }
  target.set_regions(*three, context.min_region_sz);
  return {};
}

void VirtualOperations::init(Context& context) {
  if (!follows_) return;
  for (Target& target : context.targets) {
    if (target.nr_regions() != 0) continue;
    if (auto followed = follow(context, target); !followed) {
      spdlog::warn("a target cannot be looked at, nothing is known of its accesses: {}",
                   followed.error().message);
    }
  }
}

void VirtualOperations::update(Context& context) {
  if (!follows_) return;
  for (Target& target : context.targets) {
    const auto followed = follow(context, target);
    if (followed) continue;
    const auto& [code, message] = followed.error();
    if (code == EACCES || code == EPERM) {
      warn_(std::to_string(code), "a target's regions stay as they are: {}", message);
    } else {
      spdlog::debug("a target's regions stay as they are: {}", message);
    }
  }
}

}  // namespace damonfs
