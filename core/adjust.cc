#include "core/adjust.h"

#include <algorithm>

#include "core/base/arithmetic.h"

namespace damonfs {

namespace {

uint64_t difference(uint64_t a, uint64_t b) { return a > b ? a - b : b - a; }

uint64_t last_merge_score(const Context& context, const Region& region) {
  return context.attrs_only() ? weighted_sum(context.probes, region.last_probe_hits)
                              : region.last_nr_accesses;
}

void update_age(const Context& context, Region& region, uint64_t threshold) {
  if (is_unknown(region)) return;
  const uint64_t score = merge_score(context, region);
  const uint64_t last = last_merge_score(context, region);
  const bool changed = difference(score, last) > threshold || (score == 0) != (last == 0);
  region.age = changed ? 0 : region.age + 1;
}

// The largest score that a region can have.
uint64_t largest_score(const Context& context) {
  const uint64_t samples = context.samples_in(context.attrs.aggr_us);
  if (!context.attrs_only()) return samples;
  uint64_t weights = 0;
  for (const Probe& probe : context.probes) weights += probe.weight;
  return samples * weights;
}

uint32_t weighted_mean(uint32_t a, uint64_t weight_a, uint32_t b, uint64_t weight_b) {
  const auto sum = static_cast<uint128>(a) * weight_a + static_cast<uint128>(b) * weight_b;
  return static_cast<uint32_t>(sum / (weight_a + weight_b));
}

// Whether as much is known of the one as of the other.
bool known_alike(const Region& left, const Region& right) {
  return left.swept == right.swept && is_unknown(left) == is_unknown(right);
}

void merge_regions_of(const Context& context, Target& target, uint64_t threshold, uint64_t sz_limit,
                      bool across_known) {
  auto left = target.regions().begin();
  if (left == target.regions().end()) return;
  for (auto right = std::next(left); right != target.regions().end();) {
    const bool alike =
        left->range.end == right->range.start &&
        difference(merge_score(context, *left), merge_score(context, *right)) <= threshold &&
        left->range.size() + right->range.size() <= sz_limit &&
        (across_known || known_alike(*left, *right));
    if (alike) {
      right = merge_two_regions(target, left, right);
    } else {
      left = right++;
    }
  }
}

// Whether sweeps know that there are no borders in `region`. After reset_aggregated().
bool is_whole(const Region& region) {
  return region.swept == SweptState::not_accessed && region.last_nr_accesses == 0;
}

// Cuts off the right part of `region` at a random tenth, unless it is to stay whole or a part would
// be no region.
void split_at_random(Target& target, Region& region, const Context& context, Random& random) {
  if (is_whole(region)) return;
  const uint64_t size = region.range.size();
  const uint64_t left =
      align_down(mult_frac(size, random.between(1, 10), 10), context.min_region_sz);
  if (left != 0 && left < size) target.split_region(region, left);
}

void split_every_region(Context& context, int pieces) {
  for (Target& target : context.targets) {
    for (auto region = target.regions().begin(); region != target.regions().end();) {
      const auto next = std::next(region);
      for (int cut = 1; cut < pieces && region->range.size() > 2 * context.min_region_sz; ++cut) {
        split_at_random(target, *region, context, context.random);
      }
      region = next;
    }
  }
}

void split_every_nth_region(Context& context, uint64_t step) {
  const uint64_t turn = context.nr_partial_splits++ % step;
  uint64_t index = 0;
  for (Target& target : context.targets) {
    for (auto region = target.regions().begin(); region != target.regions().end();) {
      const auto next = std::next(region);
      if (index++ % step == turn && region->range.size() >= 2 * context.min_region_sz) {
        split_at_random(target, *region, context, context.random);
      }
      region = next;
    }
  }
}

}  // namespace

RegionList::iterator merge_two_regions(Target& target, RegionList::iterator left,
                                       RegionList::iterator right) {
  const uint64_t left_sz = left->range.size();
  const uint64_t right_sz = right->range.size();
  left->nr_accesses = weighted_mean(left->nr_accesses, left_sz, right->nr_accesses, right_sz);
  left->age = weighted_mean(left->age, left_sz, right->age, right_sz);
  left->unknown = left->unknown || right->unknown;
  left->last_unknown = left->last_unknown || right->last_unknown;
  for (size_t p = 0; p < kMaxProbes; ++p) {
    left->probe_hits[p] = static_cast<uint8_t>(
        weighted_mean(left->probe_hits[p], left_sz, right->probe_hits[p], right_sz));
  }
  left->swept = std::max(left->swept, right->swept);
  left->range.end = right->range.end;
  return target.remove_region(right);
}

uint64_t merge_score(const Context& context, const Region& region) {
  return context.attrs_only() ? weighted_sum(context.probes, region.probe_hits)
                              : region.nr_accesses;
}

uint64_t region_sz_limit(const Context& context) {
  uint64_t total = 0;
  for (const Target& target : context.targets) {
    for (const Region& region : target.regions()) total += region.range.size();
  }
  return std::max(total / std::max<uint64_t>(context.attrs.min_nr_regions, 1),
                  context.min_region_sz);
}

uint64_t apply_min_nr_regions(Context& context) {
  const uint64_t limit = align_up(region_sz_limit(context), context.min_region_sz);
  for (Target& target : context.targets) {
    for (auto region = target.regions().begin(); region != target.regions().end(); ++region) {
      if (region->range.size() > limit) target.split_region(*region, limit);
    }
  }
  return limit;
}

void merge_regions(Context& context, uint64_t threshold, uint64_t sz_limit) {
  for (Target& target : context.targets) {
    for (Region& region : target.regions()) update_age(context, region, threshold);
  }
  const uint64_t max = largest_score(context);
  for (uint64_t limit = threshold;;
       limit = limit < max / 2 ? std::max<uint64_t>(1, 2 * limit) : max) {
    for (Target& target : context.targets) {
      merge_regions_of(context, target, limit, sz_limit, limit > threshold);
    }
    if (context.nr_regions() <= context.attrs.max_nr_regions || limit >= max) return;
  }
}

void split_regions(Context& context) {
  const size_t nr_regions = context.nr_regions();
  const uint64_t max = context.attrs.max_nr_regions;
  if (nr_regions < max && nr_regions > max / 2) {
    split_every_nth_region(context, max / (max - nr_regions));
  } else if (nr_regions <= max / 2) {
    const bool stands_still = nr_regions == context.last_nr_regions && nr_regions < max / 3;
    split_every_region(context, stands_still ? 3 : 2);
  }
  context.last_nr_regions = nr_regions;
}

void reset_aggregated(Context& context) {
  for (Target& target : context.targets) {
    for (Region& region : target.regions()) {
      region.last_nr_accesses = region.nr_accesses;
      region.nr_accesses = 0;
      region.last_unknown = region.unknown;
      region.unknown = false;
      region.last_probe_hits = region.probe_hits;
      region.probe_hits = {};
    }
  }
}

}  // namespace damonfs
