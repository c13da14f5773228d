#include "ops/vaddr/virtual_operations.h"

#include <spdlog/spdlog.h>

#include <cerrno>
#include <string>

#include "core/context.h"
#include "ops/vaddr/three_regions.h"

namespace damonfs {
namespace {

Result<void> follow(Target& target, const Result<std::vector<AddrRange>>& mappings,
                    uint64_t min_region_sz) {
  const auto regions = mappings.and_then(
      [](const std::vector<AddrRange>& mapped) { return find_three_regions(mapped); });
  if (!regions) return tl::unexpected(regions.error());
  target.set_regions(*regions, min_region_sz);
  return {};
}

}  // namespace

void VirtualOperations::init(Context& context) {
  if (!follows_) return;
  for (Target& target : context.targets) {
    if (target.nr_regions() != 0) continue;
    if (auto followed = follow(target, mappings(target), context.min_region_sz); !followed) {
      spdlog::warn("a target cannot be looked at, nothing is known of its accesses: {}",
                   followed.error().message);
    }
  }
}

void VirtualOperations::update(Context& context) {
  if (!follows_) return;
  for (Target& target : context.targets) {
    const auto followed = follow(target, mappings(target), context.min_region_sz);
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
