// The machine that described processes run on.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "core/metrics.h"
#include "ops/base/warn_once.h"
#include "ops/synthetic/pattern.h"
#include "ops/synthetic/residency.h"

namespace damonfs {

// The memory of a pattern's processes: of all that have a number, and of those that stand for any
// number from when they are first asked for. Node 0 has the size that the pattern's line `memory`
// says. Shared by the operations of contexts that play in one time; one thread at a time.
class SyntheticMachine {
 public:
  explicit SyntheticMachine(std::shared_ptr<const Pattern> pattern);

  [[nodiscard]] uint64_t memory() const { return pattern_->memory; }
  // The memory of the process that `pid` names; there must be one.
  [[nodiscard]] Residency& residency(pid_t pid);
  // Lets time pass for all of them, see Residency.
  void settle(uint64_t to_ns, uint64_t interval_ns);
  // Bytes in use on a node, as of the last settle().
  [[nodiscard]] uint64_t used(int node) const;

 private:
  std::shared_ptr<const Pattern> pattern_;
  std::map<pid_t, Residency> processes_;
};

// What watermarks and goals read of that machine: free memory, and what is used of node 0. The rest
// is not simulated and counts as 0, with a warning. Owned by the operations of a context and
// called on its thread, unlike other Metrics.
class SyntheticMetrics final : public Metrics {
 public:
  // `settle` lets the machine's time pass until now.
  SyntheticMetrics(SyntheticMachine& machine, std::function<void()> settle)
      : machine_(machine), settle_(std::move(settle)) {}

  [[nodiscard]] uint64_t free_mem_permille() override;
  [[nodiscard]] uint64_t some_mem_psi_us() override;
  [[nodiscard]] uint64_t node_mem_used_bp(int nid) override;
  [[nodiscard]] uint64_t node_memcg_used_bp(int nid, const std::string& path) override;
  [[nodiscard]] uint64_t active_mem_bp() override;
  [[nodiscard]] uint64_t hugepage_mem_bp() override;

 private:
  // Of node 0, at most its size; 0 and a warning when that is not described.
  uint64_t used();

  SyntheticMachine& machine_;
  std::function<void()> settle_;
  WarnOnce warn_;
};

}  // namespace damonfs
