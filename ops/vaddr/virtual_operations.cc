#include "ops/vaddr/virtual_operations.h"

#include <spdlog/spdlog.h>

#include "core/context.h"
#include "ops/vaddr/three_regions.h"

namespace damonfs {
namespace {

void follow(Target& target, const Result<std::vector<AddrRange>>& mappings,
            uint64_t min_region_sz) {
  const auto regions = mappings.and_then(
      [](const std::vector<AddrRange>& mapped) { return find_three_regions(mapped); });
  if (regions) {
    target.set_regions(*regions, min_region_sz);
  } else {
    spdlog::debug("a target's regions stay as they are: {}", regions.error().message);
  }
}

}  // namespace

void VirtualOperations::init(Context& context) {
  if (!follows_) return;
  for (Target& target : context.targets) {
    if (target.nr_regions() == 0) follow(target, mappings(target), context.min_region_sz);
  }
}

void VirtualOperations::update(Context& context) {
  if (!follows_) return;
  for (Target& target : context.targets) follow(target, mappings(target), context.min_region_sz);
}

}  // namespace damonfs
