#include "fs/damon/scheme_directories.h"

#include "fs/damon/keywords.h"
#include "fs/tree/attributes.h"

namespace damonfs {

namespace {

constexpr Attribute kMinMaxRows[] = {
    row<&SysfsRange::min>("min"),
    row<&SysfsRange::max>("max"),
};
constexpr DirectoryType kMinMax = {"bounds", kMinMaxRows};

// The directory shows a part of what `owner` holds, and keeps the whole alive.
template <class Owner, class Part>
std::shared_ptr<Part> part_of(const std::shared_ptr<Owner>& owner, Part Owner::*part) {
  return {owner, &((*owner).*part)};
}

void add_access_pattern(Directory& parent, const std::shared_ptr<SysfsScheme>& files) {
  Directory& pattern = parent.add_child("access_pattern", kPlainDirectory, nullptr);
  pattern.add_child("sz", kMinMax, part_of(files, &SysfsScheme::sz));
  pattern.add_child("nr_accesses", kMinMax, part_of(files, &SysfsScheme::nr_accesses));
  pattern.add_child("age", kMinMax, part_of(files, &SysfsScheme::age));
}

// dests

constexpr Attribute kDestRows[] = {
    row<&ActionDest::id>("id"),
    row<&ActionDest::weight>("weight"),
};
constexpr DirectoryType kDest = {"destination", kDestRows};

constexpr Attribute kDestsRows[] = {count_row<add_leaf<kDest>, &SysfsScheme::dests>("nr_dests")};
constexpr DirectoryType kDests = {"destinations", kDestsRows};

// quotas

constexpr Attribute kGoalRows[] = {
    row<&QuotaGoal::metric>("target_metric"),
    row<&QuotaGoal::target_value>("target_value"),
    row<&QuotaGoal::current_value>("current_value"),
    row<&QuotaGoal::complement>("complement"),
    row<&QuotaGoal::nid>("nid"),
    row<&QuotaGoal::path>("path"),
};
constexpr DirectoryType kGoal = {"quota goal", kGoalRows};

constexpr Attribute kGoalsRows[] = {count_row<add_leaf<kGoal>, &SysfsQuotas::goals>("nr_goals")};
constexpr DirectoryType kGoals = {"quota goals", kGoalsRows};

constexpr Attribute kWeightsRows[] = {
    row<&SysfsQuotas::params, &QuotaParams::sz_permil>("sz_permil"),
    row<&SysfsQuotas::params, &QuotaParams::nr_accesses_permil>("nr_accesses_permil"),
    row<&SysfsQuotas::params, &QuotaParams::age_permil>("age_permil"),
};
constexpr DirectoryType kWeights = {"quota weights", kWeightsRows};

template <auto Field>
constexpr Attribute quota_einval_row(std::string_view name) {
  return einval_row<&SysfsQuotas::params, Field>(name);
}
constexpr Attribute kQuotaRows[] = {
    quota_einval_row<&QuotaParams::ms>("ms"),
    quota_einval_row<&QuotaParams::bytes>("bytes"),
    quota_einval_row<&QuotaParams::reset_interval_ms>("reset_interval_ms"),
    read_only_row<&SysfsQuotas::effective_bytes>("effective_bytes"),
    row<&SysfsQuotas::params, &QuotaParams::goal_tuner>("goal_tuner"),
    quota_einval_row<&QuotaParams::fail_charge_num>("fail_charge_num"),
    quota_einval_row<&QuotaParams::fail_charge_denom>("fail_charge_denom"),
};
constexpr DirectoryType kQuota = {"quota", kQuotaRows};

void add_quota(Directory& parent, const std::shared_ptr<SysfsScheme>& files) {
  const auto quota = part_of(files, &SysfsScheme::quota);
  Directory& directory = parent.add_child("quotas", kQuota, quota);
  directory.add_child("weights", kWeights, quota);
  directory.add_child("goals", kGoals, quota);
}

constexpr Attribute kWatermarksRows[] = {
    row<&Watermarks::metric>("metric"), row<&Watermarks::interval_us>("interval_us"),
    row<&Watermarks::high>("high"),     row<&Watermarks::mid>("mid"),
    row<&Watermarks::low>("low"),
};
constexpr DirectoryType kWatermarks = {"watermarks", kWatermarksRows};

// filters, of three kinds that differ only in the types they may have

Result<void> any_filter(FilterType) { return {}; }

Result<void> core_filter(FilterType type) {
  if (handled_by_core(type)) return {};
  return fail(EINVAL, "a filter of type {} is not for core_filters", keyword_of(type));
}

Result<void> ops_filter(FilterType type) {
  if (!handled_by_core(type)) return {};
  return fail(EINVAL, "a filter of type {} is not for ops_filters", keyword_of(type));
}

template <auto allowed>
constexpr Attribute kFilterRows[] = {
    avail_row<FilterType, allowed>("avail_types"),
    checked_row<allowed, &Filter::type>("type"),
    row<&Filter::matching>("matching"),
    row<&Filter::allow>("allow"),
    row<&Filter::memcg_path>("memcg_path"),
    row<&Filter::addr, &AddrRange::start>("addr_start"),
    row<&Filter::addr, &AddrRange::end>("addr_end"),
    row<&Filter::min_sz>("min"),
    row<&Filter::max_sz>("max"),
    row<&Filter::target_idx>("damon_target_idx"),
};
template <auto allowed>
constexpr DirectoryType kFilter = {"filter", kFilterRows<allowed>};

template <auto allowed, auto Path>
constexpr Attribute kFiltersRows[] = {count_row<add_leaf<kFilter<allowed>>, Path>("nr_filters")};
template <auto allowed, auto Path>
constexpr DirectoryType kFilters = {"filters", kFiltersRows<allowed, Path>};

// stats and tried_regions

template <auto Field>
constexpr Attribute stat_row(std::string_view name) {
  return read_only_row<&SysfsScheme::stat, Field>(name);
}
constexpr Attribute kStatsRows[] = {
    stat_row<&SchemeStat::nr_tried>("nr_tried"),
    stat_row<&SchemeStat::sz_tried>("sz_tried"),
    stat_row<&SchemeStat::nr_applied>("nr_applied"),
    stat_row<&SchemeStat::sz_applied>("sz_applied"),
    stat_row<&SchemeStat::sz_ops_filter_passed>("sz_ops_filter_passed"),
    stat_row<&SchemeStat::qt_exceeds>("qt_exceeds"),
    stat_row<&SchemeStat::nr_snapshots>("nr_snapshots"),
    row<&SysfsScheme::max_nr_snapshots>("max_nr_snapshots"),
};
constexpr DirectoryType kStats = {"stats", kStatsRows};

constexpr Attribute kTriedRegionRows[] = {
    read_only_row<&SysfsTriedRegion::range, &AddrRange::start>("start"),
    read_only_row<&SysfsTriedRegion::range, &AddrRange::end>("end"),
    read_only_row<&SysfsTriedRegion::nr_accesses>("nr_accesses"),
    read_only_row<&SysfsTriedRegion::age>("age"),
    read_only_row<&SysfsTriedRegion::sz_filter_passed>("sz_filter_passed"),
};
constexpr DirectoryType kTriedRegion = {"tried region", kTriedRegionRows};

constexpr Attribute kTriedRegionsRows[] = {
    read_only_row<&SysfsScheme::tried_regions_sz>("total_bytes"),
};
constexpr DirectoryType kTriedRegions = {"tried regions", kTriedRegionsRows};

constexpr Attribute kSchemeRows[] = {
    row<&SysfsScheme::action>("action"),
    row<&SysfsScheme::apply_interval_us>("apply_interval_us"),
    row<&SysfsScheme::target_nid>("target_nid"),
};
constexpr DirectoryType kScheme = {"scheme", kSchemeRows};

}  // namespace

void add_scheme(Directory& parent, std::string name, const std::shared_ptr<SysfsScheme>& files) {
  Directory& scheme = parent.add_child(std::move(name), kScheme, files);
  add_access_pattern(scheme, files);
  scheme.add_child("dests", kDests, files);
  add_quota(scheme, files);
  scheme.add_child("watermarks", kWatermarks, part_of(files, &SysfsScheme::watermarks));
  scheme.add_child("filters", kFilters<any_filter, &SysfsScheme::filters>, files);
  scheme.add_child("core_filters", kFilters<core_filter, &SysfsScheme::core_filters>, files);
  scheme.add_child("ops_filters", kFilters<ops_filter, &SysfsScheme::ops_filters>, files);
  scheme.add_child("stats", kStats, files);
  scheme.add_child("tried_regions", kTriedRegions, files);
}

constexpr Attribute kProbeHitsRows[] = {read_only_row<&SysfsProbeHits::hits>("hits")};
constexpr DirectoryType kProbeHits = {"probe hits", kProbeHitsRows};

void add_tried_region(Directory& parent, std::string name,
                      const std::shared_ptr<SysfsTriedRegion>& files) {
  Directory& region = parent.add_child(std::move(name), kTriedRegion, files);
  Directory& probes = region.add_child("probes", kPlainDirectory, nullptr);
  for (size_t i = 0; i < files->nr_probes; ++i) {
    const auto hits = std::make_shared<SysfsProbeHits>(SysfsProbeHits{files->probe_hits[i]});
    probes.add_child(std::to_string(i), kProbeHits, hits);
  }
}

}  // namespace damonfs
