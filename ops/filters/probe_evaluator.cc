#include "ops/filters/probe_evaluator.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "ops/procfs/memcg.h"

namespace damonfs {

namespace {

bool any_asks(std::span<const Probe> probes, ProbeFilterType type) {
  return std::any_of(probes.begin(), probes.end(),
                     [type](const Probe& probe) { return probe.asks(type); });
}

}  // namespace

void ProbeEvaluator::apply(std::span<const Probe> probes, std::span<Sample> samples) {
  const std::span<const PagemapEntry> entries = pagemap_.read(samples);
  pages_.clear();
  for (size_t i = 0; i < samples.size(); ++i) {
    samples[i].probes_hit = 0;
    if (entries[i].present()) pages_.push_back({i, entries[i].pfn(), !entries[i].of_file()});
  }
  const bool asks_folio =
      any_asks(probes, ProbeFilterType::memcg) || any_asks(probes, ProbeFilterType::hugepage_size);
  const bool hidden = std::ranges::find(pages_, 0, &Page::frame) != pages_.end();
  ask(probes, samples, asks_folio && find_folios(hidden));
}

void ProbeEvaluator::apply(std::span<const Probe> probes, std::span<const FrameSample> frames,
                           std::span<Sample> samples) {
  pages_.clear();
  for (size_t i = 0; i < samples.size(); ++i) {
    samples[i].probes_hit = 0;
    pages_.push_back({i, frames[i].frame, false});
  }
  if (!find_folios(false)) return;
  size_t kept = 0;
  for (size_t i = 0; i < pages_.size(); ++i) {
    const uint64_t flags = folios_[i].flags;
    if ((flags & frame_flags::kLru) == 0) continue;
    folios_[kept] = folios_[i];
    pages_[kept] = pages_[i];
    pages_[kept++].anon = (flags & frame_flags::kAnon) != 0;
  }
  pages_.resize(kept);
  folios_.resize(kept);
  ask(probes, samples, true);
}

void ProbeEvaluator::ask(std::span<const Probe> probes, std::span<Sample> samples,
                         bool knows_folios) {
  const bool asks_memcg = any_asks(probes, ProbeFilterType::memcg);
  const bool knows_memcgs = asks_memcg && knows_folios && find_memcgs();
  const Cgroups cgroups = asks_memcg ? find_cgroups(probes) : Cgroups();
  for (size_t p = 0; p < probes.size(); ++p) {
    if (probes[p].asks(ProbeFilterType::hugepage_size) && !knows_folios) continue;
    if (probes[p].asks(ProbeFilterType::memcg) && !knows_memcgs) continue;
    for (size_t page = 0; page < pages_.size(); ++page) {
      Sample& sample = samples[pages_[page].sample];
      const bool hit = probes[p].hits(
          [&](const ProbeFilter& filter) { return answer(filter, sample, page, cgroups); });
      if (hit) sample.probes_hit |= static_cast<uint8_t>(1U << p);
    }
  }
}

bool ProbeEvaluator::answer(const ProbeFilter& filter, const Sample& sample, size_t page,
                            const Cgroups& cgroups) const {
  switch (filter.type) {
    case ProbeFilterType::anon:
      return pages_[page].anon;
    case ProbeFilterType::memcg: {
      const auto cgroup = cgroups.find(filter.path);
      return cgroup != cgroups.end() && cgroup->second == memcgs_[page];
    }
    case ProbeFilterType::hugepage_size:
      return filter.in_bounds(folios_[page].size());
    case ProbeFilterType::pgidle_unset:
      return sample.accessed;
    case ProbeFilterType::pgidle_set:
      return !sample.accessed;
  }
  return false;
}

bool ProbeEvaluator::find_folios(bool hidden) {
  std::vector<uint64_t> frames(pages_.size());
  std::ranges::transform(pages_, frames.begin(), &Page::frame);
  folios_.resize(frames.size());
  const int error = hidden ? EPERM : frames_.folios(frames, folios_);
  if (error == 0) return true;
  warn_("folios",
        "a probe asks what kind of page frames there are: {}/kpageflags: {}: it hits nothing",
        paths_.proc, std::strerror(error));
  return false;
}

bool ProbeEvaluator::find_memcgs() {
  memcgs_.resize(folios_.size());
  const int error = cgroups_.memcgs(folios_, memcgs_);
  if (error == 0) return true;
  warn_("memcgs", "a probe asks for pages of a memory cgroup: {}/kpagecgroup: {}: it hits nothing",
        paths_.proc, std::strerror(error));
  return false;
}

ProbeEvaluator::Cgroups ProbeEvaluator::find_cgroups(std::span<const Probe> probes) const {
  Cgroups cgroups;
  for (const Probe& probe : probes) {
    for (const ProbeFilter& filter : probe.filters) {
      if (filter.type != ProbeFilterType::memcg || cgroups.contains(filter.path)) continue;
      if (const auto found = find_memcg(paths_, filter.path)) cgroups[filter.path] = *found;
    }
  }
  return cgroups;
}

}  // namespace damonfs
