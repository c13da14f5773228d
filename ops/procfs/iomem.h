// Where RAM is in physical memory.
#pragma once

#include <string_view>

#include "core/base/result.h"
#include "core/ranges.h"
#include "ops/procfs/paths.h"

namespace damonfs {

// The RAM in `text`, which is of the format of /proc/iomem: the resources "System RAM" and those
// that were added as RAM later, "System RAM (...)", in bytes, ascending. What lies inside of one
// (the kernel's code, say) is part of it. EPERM where all addresses are zero, as they are for who
// is not allowed to see them; EINVAL for a line of another format, naming it; ENOENT when there is
// no RAM.
[[nodiscard]] Result<RangeList> parse_iomem(std::string_view text);

// The same for this machine; or what open(2) and read(2) say. Any thread.
[[nodiscard]] Result<RangeList> system_ram(const Paths& paths);

// From the start of the first of them to the end of the last, with the holes between: what the
// kernel's modules monitor by default since 7.2 (before, the biggest one only).
[[nodiscard]] Result<AddrRange> system_ram_span(const Paths& paths);

}  // namespace damonfs
