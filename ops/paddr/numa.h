// Which physical memory belongs to which NUMA node.
#pragma once

#include <span>

#include "core/base/result.h"
#include "core/operations.h"
#include "core/ranges.h"
#include "ops/pages/kpageflags.h"
#include "ops/procfs/paths.h"

namespace damonfs {

// The physical memory of node `nid`, in bytes: by the memory blocks that sysfs has for it
// (Documentation/ABI/stable/sysfs-devices-node) or, of a kernel without memory hotplug, by the
// spans of its zones in /proc/zoneinfo, which may have another node's memory in them. ENOENT when
// there is no such node; otherwise what open(2) and read(2) say. Any thread.
[[nodiscard]] Result<RangeList> node_memory(const Paths& paths, int nid);

// How much of the users' pages (those on reclaim's lists) in `memory`, physical and in bytes, lies
// on node `nid`. A folio counts whole, where its first frame is. Nothing where frames cannot be
// read.
[[nodiscard]] NodeShare pages_on_node(std::span<const AddrRange> memory, int nid,
                                      Kpageflags& frames, const Paths& paths);

}  // namespace damonfs
