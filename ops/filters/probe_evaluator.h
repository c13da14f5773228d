// Probes of pages: which of them hit the page that was sampled.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/operations.h"
#include "core/probes.h"
#include "ops/backend/paddr_backend.h"
#include "ops/base/warn_once.h"
#include "ops/pages/kpageflags.h"
#include "ops/pages/pagemap.h"
#include "ops/procfs/paths.h"

namespace damonfs {

// Answers the questions of probes' filters for all samples of a sampling interval: `anon` from
// pagemap or, by frames, kpageflags, hugepage_size (the size of the folio) from kpageflags, `memcg`
// from kpagecgroup, and pgidle_* from what the backend found, a sample's `accessed`. Looks only at
// what some filter asks. A probe whose question cannot be answered (no right to know page frames)
// hits nothing, with one warning; none hits where no page is mapped. A memory cgroup that is no
// more has no page. Owned by the operations of one context, on its thread.
class ProbeEvaluator {
 public:
  explicit ProbeEvaluator(const Paths& paths) : paths_(paths), frames_(paths), cgroups_(paths) {}

  // Sets `probes_hit` of samples whose targets carry a Process.
  void apply(std::span<const Probe> probes, std::span<Sample> samples);
  // The same of physical memory: `frames` are parallel to the samples. Only pages on reclaim's
  // lists are somebody's.
  void apply(std::span<const Probe> probes, std::span<const FrameSample> frames,
             std::span<Sample> samples);

 private:
  struct Page {
    size_t sample;
    uint64_t frame;  // 0 in a process: hidden
    bool anon;
  };

  using Cgroups = std::map<std::string, uint64_t, std::less<>>;

  void ask(std::span<const Probe> probes, std::span<Sample> samples, bool knows_folios);
  // Fill folios_, memcgs_ for pages_; false, with a warning, when nobody tells.
  bool find_folios(bool hidden);
  bool find_memcgs();
  [[nodiscard]] Cgroups find_cgroups(std::span<const Probe> probes) const;
  [[nodiscard]] bool answer(const ProbeFilter& filter, const Sample& sample, size_t page,
                            const Cgroups& cgroups) const;

  Paths paths_;
  PagemapReader pagemap_;
  Kpageflags frames_;
  Kpagecgroup cgroups_;
  WarnOnce warn_;

  // Of one apply(), kept for their memory. Those below are parallel.
  std::vector<Page> pages_;
  std::vector<Folio> folios_;     // empty when nobody asks
  std::vector<uint64_t> memcgs_;  // empty when nobody asks
};

}  // namespace damonfs
