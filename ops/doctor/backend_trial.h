// Finding out whether a backend really sees accesses.
#pragma once

#include "core/base/result.h"
#include "ops/backend/vaddr_backend.h"
#include "ops/procfs/paths.h"

namespace damonfs {

// Watches a child of this process with `bits` while the child touches some of its pages, and
// compares. An error says what was not seen, or seen wrongly (ENOTSUP), or what failed. Any
// thread; the child is gone at the return.
Result<> try_backend(VaddrBackend& bits, const Paths& paths);

}  // namespace damonfs
