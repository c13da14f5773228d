// Probes of pages of processes: which of them hit the page that was sampled.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/operations.h"
#include "core/probes.h"
#include "ops/page_frames.h"
#include "ops/pagemap.h"
#include "ops/paths.h"
#include "ops/warn_once.h"

namespace damonfs {

// Answers the questions of probes' filters for all samples of a sampling interval: `anon` from
// pagemap, hugepage_size (the size of the folio) from kpageflags, `memcg` from kpagecgroup, and
// pgidle_* from what the backend found, a sample's `accessed`. Looks only at what some filter asks.
// A probe whose question cannot be answered (no right to know page frames) hits nothing, with one
// warning; none hits where no page is mapped. A memory cgroup that is no more has no page. Owned by
// the operations of one context, on its thread.
class PageProber {
 public:
  explicit PageProber(const Paths& paths) : paths_(paths), frames_(paths) {}

  // Sets `probes_hit` of samples whose targets carry a Process.
  void apply(std::span<const Probe> probes, std::span<Sample> samples);

 private:
  using Cgroups = std::map<std::string, uint64_t, std::less<>>;

  // Fill folios_, memcgs_ for the samples with a page; false, with a warning, when nobody tells.
  bool find_folios();
  bool find_memcgs();
  [[nodiscard]] Cgroups find_cgroups(std::span<const Probe> probes) const;
  [[nodiscard]] bool answer(const ProbeFilter& filter, const Sample& sample, size_t page,
                            const Cgroups& cgroups) const;

  Paths paths_;
  PagemapReader pagemap_;
  PageFrames frames_;
  WarnOnce warn_;

  // Of one apply(), kept for their memory. Those below are parallel.
  std::vector<size_t> sampled_;        // samples with a page
  std::vector<PagemapEntry> entries_;  // of theirs
  std::vector<Folio> folios_;          // empty when nobody asks
  std::vector<uint64_t> memcgs_;       // empty when nobody asks
};

}  // namespace damonfs
