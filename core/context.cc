#include "core/context.h"

#include <algorithm>

#include "core/base/arithmetic.h"

namespace damonfs {

Context::~Context() {
  targets.clear_and_dispose(std::default_delete<Target>());
  schemes.clear_and_dispose(std::default_delete<Scheme>());
}

Target& Context::add_target(std::shared_ptr<TargetHandle> handle) {
  auto target = std::make_unique<Target>(pool, std::move(handle));
  targets.push_back(*target);
  return *target.release();
}

TargetList::iterator Context::remove_target(TargetList::iterator target) {
  return targets.erase_and_dispose(target, std::default_delete<Target>());
}

Scheme& Context::add_scheme(SchemeParams params) {
  auto scheme = std::make_unique<Scheme>();
  scheme->params = std::move(params);
  schemes.push_back(*scheme);
  return *scheme.release();
}

SchemeList::iterator Context::remove_scheme(SchemeList::iterator scheme) {
  return schemes.erase_and_dispose(scheme, std::default_delete<Scheme>());
}

size_t Context::nr_regions() const {
  size_t sum = 0;
  for (const Target& target : targets) sum += target.nr_regions();
  return sum;
}

bool Context::has_valid_target() const {
  if (ops_id == OpsId::paddr || follows) return true;
  return std::any_of(targets.begin(), targets.end(),
                     [this](const Target& target) { return operations->target_valid(target); });
}

uint64_t Context::samples_in(uint64_t us) const {
  return us / std::max<uint64_t>(attrs.sample_us, 1);
}

uint64_t Context::apply_interval_samples(const Scheme& scheme) const {
  const uint64_t us = scheme.params.apply_interval_us;
  return samples_in(us == 0 ? attrs.aggr_us : us);
}

void Context::restart_schedule() {
  schedule.next_aggregation = schedule.passed + samples_in(attrs.aggr_us);
  schedule.next_update = schedule.passed + samples_in(attrs.update_us);
  for (Scheme& scheme : schemes) {
    scheme.next_apply = schedule.passed + apply_interval_samples(scheme);
  }
}

uint64_t Context::last_share_bp() const {
  const uint64_t window = std::max<uint64_t>(samples_in(attrs.aggr_us), 1);
  const uint64_t left =
      schedule.next_aggregation > schedule.passed ? schedule.next_aggregation - schedule.passed : 0;
  return mult_frac(left, 10000, window);
}

uint32_t Context::moving_nr_accesses(const Region& region) const {
  const uint64_t share_bp = last_share_bp();
  if (share_bp == 10000) return region.last_nr_accesses;
  const uint32_t moving = region.nr_accesses + static_cast<uint32_t>(mult_frac(
                                                   region.last_nr_accesses, share_bp, 10000));
  // One access that a sweep has found is rounded off no more than it is at the aggregation's end.
  const uint32_t swept = region.swept == SweptState::accessed ? 1 : 0;
  return std::max(moving, swept);
}

ProbeHits Context::moving_probe_hits(const Region& region) const {
  const uint64_t share_bp = last_share_bp();
  if (share_bp == 10000) return region.last_probe_hits;
  ProbeHits moving = region.probe_hits;
  for (size_t p = 0; p < moving.size(); ++p) {
    const uint64_t of_last = mult_frac(region.last_probe_hits[p], share_bp, 10000);
    moving[p] = static_cast<uint8_t>(std::min<uint64_t>(moving[p] + of_last, UINT8_MAX));
  }
  return moving;
}

uint64_t Context::moving_probe_hits_wsum(const Region& region) const {
  return probes.empty() ? 0 : weighted_sum(probes, moving_probe_hits(region));
}

}  // namespace damonfs
