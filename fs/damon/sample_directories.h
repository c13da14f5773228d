// monitoring_attrs/sample and operations_attrs: which sampled accesses are counted. Experiments of
// DAMON's development tree (damon/next, "planned to not be upstreamed" by damo's list of features),
// made for accesses that the kernel is told of one by one, by page faults; user space sees accessed
// bits, which do not say who accessed, nor, mostly, how. What cannot be honoured is refused.
#pragma once

#include <memory>

#include "core/base/result.h"
#include "core/machine.h"
#include "fs/damon/sysfs_objects.h"
#include "fs/tree/node.h"

namespace damonfs {

void add_sample(Directory& monitoring_attrs, const std::shared_ptr<SysfsContext>& files);
void add_operations_attrs(Directory& context, const std::shared_ptr<SysfsContext>& files);

// Whether `machine` counts just the accesses that the filters let pass: reads and writes alike, or
// writes where it sees nothing else. EINVAL when not.
Result<void> check_sample(const SysfsSample& files, const Machine& machine);

}  // namespace damonfs
