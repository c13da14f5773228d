// Applying schemes to regions (design.rst, "Operation Schemes").
#pragma once

#include "core/base/clock.h"
#include "core/context.h"
#include "core/requests.h"

namespace damonfs {

// Applies every scheme that is due and active: to the regions that match it, within its quota and
// past its core filters, and reports these to `walk`. Regions that this cut and that stayed alike
// are joined again. A scheme is due when its apply interval has passed; then its next is set.
void apply_schemes(Context& context, const Clock& clock, const RequestQueue::Walking& walk);

// Whether every scheme has had its part in `walk`.
[[nodiscard]] bool walk_finished(const Context& context, const RequestQueue::Walking& walk);

// Lets watermarks put schemes to rest and wake them. Returns how long to wait, in microseconds,
// before asking again, when all schemes of the context rest; 0 when there is something to do.
[[nodiscard]] uint64_t check_watermarks(Context& context);

}  // namespace damonfs
