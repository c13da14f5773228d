// What schemes know of the state of the machine: the values that watermarks and quota goals
// compare.
#pragma once

#include <cstdint>
#include <string>

namespace damonfs {

// The machine's memory in numbers. Made in `ops` (or by a test or a simulation), handed to
// contexts; outlives them, may be called from any thread. Shares are rounded down; what cannot be
// read counts as nothing used.
class Metrics {
 public:
  virtual ~Metrics() = default;

  // Free memory, in 1/1,000 of all.
  [[nodiscard]] virtual uint64_t free_mem_permille() = 0;
  // Total time that some task waited for memory since boot (PSI "some"), microseconds.
  [[nodiscard]] virtual uint64_t some_mem_psi_us() = 0;
  // Used memory of NUMA node `nid`, in 1/10,000 of the node's; 0 for a node that is not there.
  [[nodiscard]] virtual uint64_t node_mem_used_bp(int nid) = 0;
  // What the memory cgroup at `path` (below the cgroup mount) has on node `nid`, in 1/10,000 of the
  // node's memory.
  [[nodiscard]] virtual uint64_t node_memcg_used_bp(int nid, const std::string& path) = 0;
  // Active pages among all on the LRU lists, in 1/10,000.
  [[nodiscard]] virtual uint64_t active_mem_bp() = 0;
  // Memory in (transparent) huge pages, in 1/10,000 of all memory in use.
  [[nodiscard]] virtual uint64_t hugepage_mem_bp() = 0;
};

}  // namespace damonfs
