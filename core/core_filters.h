// The filters that core answers itself.
#pragma once

#include "core/filters.h"
#include "core/region.h"

namespace damonfs {

struct Context;
class Target;

// What the core filters say of a region.
enum class CoreVerdict {
  pass,     // goes on to the operations' filters
  allowed,  // passes, and the operations' filters are not asked
  rejected,
};

// Asks the core filters of a scheme in `context` about `region`, of its target number `target_idx`.
// Where an address range begins or ends inside, the region is split there and the verdict is of its
// first part; the rest comes as the next region.
CoreVerdict ask_core_filters(const Filters& filters, const Context& context, Target& target,
                             int target_idx, Region& region);

}  // namespace damonfs
