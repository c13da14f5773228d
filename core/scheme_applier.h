// One scheme's turn: finding the regions it is for and acting on them in batches.
#pragma once

#include <vector>

#include "core/base/clock.h"
#include "core/context.h"
#include "core/requests.h"

namespace damonfs {

// Whether `region` is in the access pattern of `scheme`, as the regions are now; filters, quotas
// and watermarks aside. A region whose accesses cannot be told is in that of `stat` only.
[[nodiscard]] bool in_pattern(const Context& context, const Scheme& scheme, const Region& region);

// Applies one scheme, the context's `scheme_idx`th, once to all regions of a context. Lives for
// that one application, on the kdamond's thread.
class SchemeApplier {
 public:
  SchemeApplier(Context& context, const Clock& clock, Scheme& scheme, uint32_t scheme_idx,
                const RequestQueue::Walking& walk);
  void run();

 private:
  void begin_window();
  // How much of the memory that matches the scheme's access pattern, its filters aside, is on node
  // `nid`, in 1/10,000; 0 when there is none (design.rst, goal metric node_eligible_mem_bp).
  [[nodiscard]] uint64_t node_eligible_mem_bp(int nid) const;
  void set_min_score();
  void visit(Target& target, int target_idx);
  // True when the region was dealt with before the quota stopped; cuts one that was partly so.
  bool skip_charged(Target& target, Region& region);
  // In the pattern, and of a priority that the quota lets in.
  [[nodiscard]] bool matches(const Region& region) const;
  [[nodiscard]] bool quota_full();
  void try_region(Target& target, int target_idx, Region& region);
  void flush();
  // Tells of what flush() is about to do.
  void trace_batch() const;

  Context& context_;
  const Clock& clock_;
  Scheme& scheme_;
  const uint32_t scheme_idx_;
  const RequestQueue::Walking& walk_;
  std::vector<Application> batch_;  // to be acted on together
  uint64_t pending_ = 0;            // bytes in it
};

}  // namespace damonfs
