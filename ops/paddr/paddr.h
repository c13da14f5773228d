// Watching and acting on physical memory.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "core/base/result.h"
#include "core/metrics.h"
#include "core/operations.h"
#include "ops/backend/paddr_backend.h"
#include "ops/filters/probe_evaluator.h"
#include "ops/paddr/paddr_actions.h"
#include "ops/procfs/paths.h"
#include "ops/rmap/reverse_map_scan.h"

namespace damonfs {

// paddr: targets have no handle and keep the regions that the user gave, in units of
// Context::addr_unit bytes. A range that is no RAM is taken, and nothing is seen there. How each
// kind of memory is treated:
//   shared pages           accessed through any mapping; actions as PaddrActions says
//   huge pages, folios     one, by one accessed bit where they are mapped by one
//   page cache, mapped     as other pages
//   page cache, unmapped   `idle` sees it, `pte` does not; no action reaches it
//   kernel memory, free    not accessed
//   hugetlbfs              not accessed: no system call clears its bits, and the kernel's paddr
//                          does not see it either (7.3; LRU folios only); no action
// The reverse map is made anew at each update interval if the backend or a scheme needs one. Same
// ownership and thread rule as Operations.
class PaddrOperations final : public Operations {
 public:
  // `metrics`, which the context gets, must outlive it.
  PaddrOperations(std::unique_ptr<RmapRefresher> keeper, std::unique_ptr<PaddrBackend> bits,
                  std::unique_ptr<PaddrActions> actions, const Paths& paths, Metrics& metrics);

  // Waits for the first reverse map, a second at most.
  void init(Context& context) override;
  void update(Context& context) override;
  void prepare(std::span<Sample> samples) override;
  void check(std::span<Sample> samples) override;
  // As VaddrOperations; a page is one that is on reclaim's lists.
  [[nodiscard]] bool takes_probes() const override { return true; }
  void prepare_probes(std::span<const Probe> probes, std::span<Sample> samples,
                      bool accesses) override;
  void apply_probes(std::span<const Probe> probes, std::span<Sample> samples,
                    bool accesses) override;
  [[nodiscard]] Sweeper* sweeper() override { return bits_->sweeper(); }

  // Always: physical memory does not go away.
  [[nodiscard]] bool target_valid(const Target& target) override;
  void apply(const Scheme& scheme, std::span<Application> work) override;
  [[nodiscard]] NodeShare node_share(std::span<const AddrRange> memory, int nid) override;

 private:
  [[nodiscard]] bool needs_map(const Context& context) const;
  void set_frames(std::span<const Sample> samples);
  void answer(std::span<Sample> samples) const;

  std::unique_ptr<RmapRefresher> keeper_;  // outlives what follows
  std::unique_ptr<PaddrBackend> bits_;
  std::unique_ptr<PaddrActions> actions_;
  ProbeEvaluator prober_;
  Metrics& metrics_;
  const Context* context_ = nullptr;  // the one that owns this, for its addr_unit
  std::vector<FrameSample> frames_;   // parallel to the samples
};

// Whether page frames may be known here: EPERM where the kernel hides them (they take
// CAP_SYS_ADMIN), or why /proc/kpageflags cannot be read. Any thread.
Result<> try_page_frames(const Paths& paths);

}  // namespace damonfs
