#include "core/commit.h"

#include <bit>
#include <cerrno>
#include <unordered_map>
#include <vector>

#include "core/access_rate.h"

namespace damonfs {

namespace {

Result<void> check(const Context& running, const Context& wanted) {
  if (auto valid = wanted.attrs.validate(); !valid) return valid;
  if (!std::has_single_bit(wanted.min_region_sz)) {
    return fail(EINVAL, "the smallest region, {} units, is no power of two", wanted.min_region_sz);
  }
  const Operations& operations =
      running.ops_id == wanted.ops_id ? *running.operations : *wanted.operations;
  if (!wanted.probes.empty() && !operations.takes_probes()) {
    return fail(EINVAL, "these operations know no probes");
  }
  size_t index = 0;
  for (const Target& target : wanted.targets) {
    if (target.obsolete && index >= running.targets.size()) {
      return fail(EINVAL, "targets/{}: obsolete, but the kdamond has no such target", index);
    }
    ++index;
  }
  return {};
}

// The regions of `target`, adjacent ones joined.
std::vector<AddrRange> ranges_of(const Target& target) {
  std::vector<AddrRange> ranges;
  for (const Region& region : target.regions()) {
    if (!ranges.empty() && ranges.back().end == region.range.start) {
      ranges.back().end = region.range.end;
    } else {
      ranges.push_back(region.range);
    }
  }
  return ranges;
}

bool same_process(const Target& a, const Target& b) {
  if (!a.handle || !b.handle) return a.handle == b.handle;
  return a.handle->same_as(*b.handle);
}

// What was found of another process says nothing of this one.
void forget_sweeps(Target& target) {
  target.sweeps = {};
  for (Region& region : target.regions()) region.swept = SweptState::never;
}

// Returns whether the operations must find out what there is to watch.
bool commit_target(Target& running, const Target& wanted, uint64_t min_region_sz) {
  const bool same = same_process(running, wanted);
  if (wanted.nr_regions() > 0) running.set_regions(ranges_of(wanted), min_region_sz);
  running.handle = wanted.handle;
  if (!same) forget_sweeps(running);
  return !same && wanted.nr_regions() == 0;
}

bool append_target(Context& running, const Target& wanted) {
  Target& target = running.add_target(wanted.handle);
  for (const Region& region : wanted.regions()) target.add_region(region.range);
  return wanted.nr_regions() == 0;
}

// A quota that stopped in a target that goes has nowhere to continue.
TargetList::iterator drop_target(Context& running, TargetList::iterator target) {
  for (Scheme& scheme : running.schemes) {
    if (scheme.quota.charge_target_from == &*target) scheme.quota.charge_target_from = nullptr;
  }
  return running.remove_target(target);
}

// The one of `targets` that is of the same process as `handle`; null for none.
Target* find_same(TargetList& targets, const TargetHandle& handle) {
  for (Target& target : targets) {
    if (target.handle && target.handle->same_as(handle)) return &target;
  }
  return nullptr;
}

// Has the targets be those of `handles`, in that order. Returns whether there are new ones.
bool pair_by_process(Context& running, std::span<const std::shared_ptr<TargetHandle>> handles) {
  TargetList before;
  before.swap(running.targets);
  // A process that is followed keeps its handle, as a rule.
  std::unordered_map<const TargetHandle*, Target*> by_handle;
  for (Target& target : before) by_handle.emplace(target.handle.get(), &target);
  bool any_new = false;
  for (const auto& handle : handles) {
    const auto found = by_handle.find(handle.get());
    Target* own = found != by_handle.end() ? found->second : find_same(before, *handle);
    if (own == nullptr) {
      running.add_target(handle);
      any_new = true;
      continue;
    }
    by_handle.erase(own->handle.get());
    own->handle = handle;
    before.erase(before.iterator_to(*own));
    running.targets.push_back(*own);
  }
  while (!before.empty()) {
    Target& target = before.front();
    before.pop_front();
    running.targets.push_back(target);
    drop_target(running, running.targets.iterator_to(target));
  }
  return any_new;
}

bool commit_followed_targets(Context& running, const Context& wanted) {
  std::vector<std::shared_ptr<TargetHandle>> handles;
  for (const Target& target : wanted.targets) handles.push_back(target.handle);
  const bool any_new = pair_by_process(running, handles);
  auto own = running.targets.begin();
  for (const Target& target : wanted.targets) {
    if (target.nr_regions() > 0) own->set_regions(ranges_of(target), running.min_region_sz);
    ++own;
  }
  return any_new;
}

bool commit_targets(Context& running, const Context& wanted) {
  running.follows = wanted.follows;
  if (wanted.follows) return commit_followed_targets(running, wanted);
  bool look_again = false;
  auto own = running.targets.begin();
  for (const Target& target : wanted.targets) {
    if (own == running.targets.end()) {
      look_again |= append_target(running, target);
    } else if (target.obsolete) {
      own = drop_target(running, own);
    } else {
      look_again |= commit_target(*own++, target, running.min_region_sz);
    }
  }
  while (own != running.targets.end()) own = drop_target(running, own);
  return look_again;
}

// What the quota has spent, measured and learnt stays.
void commit_scheme(Scheme& running, const Scheme& wanted) {
  running.params = wanted.params;
  commit_quota(running.quota, wanted.quota.params);
  running.active = true;
}

void commit_schemes(Context& running, const Context& wanted) {
  auto own = running.schemes.begin();
  for (const Scheme& scheme : wanted.schemes) {
    if (own != running.schemes.end()) {
      commit_scheme(*own++, scheme);
      continue;
    }
    Scheme& added = running.add_scheme(scheme.params);
    added.quota.params = scheme.quota.params;
    added.next_apply = running.schedule.passed + running.apply_interval_samples(added);
  }
  while (own != running.schemes.end()) own = running.remove_scheme(own);
}

// Probes that count something else than before begin at zero; accesses stay uncounted where nobody
// counts them.
void commit_probes(Context& running, const Context& wanted) {
  std::vector<Probe> before = std::move(running.probes);
  running.probes = wanted.probes;
  before.resize(kMaxProbes);
  std::vector<Probe> after = wanted.probes;
  after.resize(kMaxProbes);
  for (Target& target : running.targets) {
    for (Region& region : target.regions()) {
      for (size_t p = 0; p < kMaxProbes; ++p) {
        if (before[p].filters == after[p].filters && before[p].preps == after[p].preps) continue;
        region.probe_hits[p] = region.last_probe_hits[p] = 0;
      }
      if (running.attrs_only()) region.nr_accesses = region.last_nr_accesses = 0;
    }
  }
}

}  // namespace

void commit_followed(Context& running, std::span<const std::shared_ptr<TargetHandle>> handles) {
  running.follows = true;
  if (pair_by_process(running, handles)) running.operations->init(running);
}

void commit_quota(Quota& running, const QuotaParams& wanted) { running.params = wanted; }

Result<void> commit_context(Context& running, Context& wanted) {
  if (auto valid = check(running, wanted); !valid) return valid;
  const bool other_operations = running.ops_id != wanted.ops_id;
  if (other_operations) {
    running.ops_id = wanted.ops_id;
    running.operations = std::move(wanted.operations);
  }
  running.addr_unit = wanted.addr_unit;
  running.min_region_sz = wanted.min_region_sz;
  running.pause = wanted.pause;
  running.sweep_bp = wanted.sweep_bp;
  const bool look_again = commit_targets(running, wanted);
  if (other_operations) running.operations->init(running);
  commit_probes(running, wanted);
  commit_schemes(running, wanted);
  if (running.attrs != wanted.attrs) {
    running.aggr_samples = wanted.samples_in(wanted.attrs.aggr_us);
    set_attrs(running, wanted.attrs);
  }
  if (look_again) running.operations->update(running);
  return {};
}

void set_attrs(Context& running, const MonitoringAttrs& attrs) {
  const bool aggregating = running.schedule.passed < running.schedule.next_aggregation;
  for (Target& target : running.targets) {
    for (Region& region : target.regions()) {
      rescale_region(region, running.attrs, attrs, aggregating);
    }
  }
  running.attrs = attrs;
  running.restart_schedule();
}

}  // namespace damonfs
