// DAMON_STAT: how much memory is accessed, and how long which share of it has not been
// (Documentation/admin-guide/mm/damon/stat.rst).
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "core/base/result.h"
#include "core/context.h"
#include "core/machine.h"
#include "reclaim/physical.h"

namespace damonfs {

// damon_stat has no parameters that users set but `enabled`.
struct StatParams {};

// The context that does it: all System RAM, no schemes, and intervals tuned to see
// 4% of the accesses that could be seen, as the document says. Errors as physical_context().
[[nodiscard]] Result<std::unique_ptr<Context>> build_context(StatParams& params,
                                                             const Machine& machine,
                                                             ContextUse use);

// What monitoring has found of the machine's memory.
struct StatReport {
  // Of a context that was built as above; on its kdamond's thread.
  [[nodiscard]] static StatReport of(const Context& context);

  uint64_t aggr_us = 0;
  uint64_t bytes_per_second = 0;  // accessed, an estimate
  // How long memory has not been accessed, in milliseconds: the n-th is the longest time of the n%
  // of all bytes that were accessed last. Below zero for what is accessed: for so long now.
  std::array<int64_t, 101> idle_ms{};
};

}  // namespace damonfs
