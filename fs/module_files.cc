#include "fs/module_files.h"

#include <cerrno>
#include <string>

#include "fs/damon_tables.h"
#include "fs/module_commands.h"

namespace damonfs {

namespace {

// A report is small, and nobody notices one that is a sampling interval older.
constexpr uint64_t kAlways = 0;
// Going through all regions takes time; what it finds changes slowly.
constexpr uint64_t kNowAndThen = 5'000'000'000;

// damon_reclaim

template <auto... Path>
constexpr Attribute reclaim_row(std::string_view name) {
  return row<&ReclaimFiles::params, Path...>(name);
}
template <auto Field>
constexpr Attribute reclaim_stat(std::string_view name) {
  return report_row<ReclaimFiles, &ReclaimReport::cold, Field>(name);
}

constexpr Attribute kReclaimRows[] = {
    enabled_row<ReclaimFiles>(),
    commit_inputs_row<ReclaimFiles>(),
    reclaim_row<&ReclaimParams::min_age_us>("min_age"),
    reclaim_row<&ReclaimParams::quota, &ModuleQuota::ms>("quota_ms"),
    reclaim_row<&ReclaimParams::quota, &ModuleQuota::bytes>("quota_sz"),
    reclaim_row<&ReclaimParams::quota, &ModuleQuota::reset_interval_ms>("quota_reset_interval_ms"),
    reclaim_row<&ReclaimParams::quota_mem_pressure_us>("quota_mem_pressure_us"),
    reclaim_row<&ReclaimParams::quota_autotune_feedback>("quota_autotune_feedback"),
    reclaim_row<&ReclaimParams::watermarks, &Watermarks::interval_us>("wmarks_interval"),
    reclaim_row<&ReclaimParams::watermarks, &Watermarks::high>("wmarks_high"),
    reclaim_row<&ReclaimParams::watermarks, &Watermarks::mid>("wmarks_mid"),
    reclaim_row<&ReclaimParams::watermarks, &Watermarks::low>("wmarks_low"),
    reclaim_row<&ReclaimParams::physical, &PhysicalParams::sample_us>("sample_interval"),
    reclaim_row<&ReclaimParams::physical, &PhysicalParams::aggr_us>("aggr_interval"),
    reclaim_row<&ReclaimParams::physical, &PhysicalParams::autotune_intervals>(
        "autotune_monitoring_intervals"),
    reclaim_row<&ReclaimParams::physical, &PhysicalParams::min_nr_regions>("min_nr_regions"),
    reclaim_row<&ReclaimParams::physical, &PhysicalParams::max_nr_regions>("max_nr_regions"),
    reclaim_row<&ReclaimParams::physical, &PhysicalParams::region, &AddrRange::start>(
        "monitor_region_start"),
    reclaim_row<&ReclaimParams::physical, &PhysicalParams::region, &AddrRange::end>(
        "monitor_region_end"),
    reclaim_row<&ReclaimParams::physical, &PhysicalParams::addr_unit>("addr_unit"),
    reclaim_row<&ReclaimParams::skip_anon>("skip_anon"),
    kdamond_pid_row<ReclaimFiles>(),
    reclaim_stat<&SchemeStat::nr_tried>("nr_reclaim_tried_regions"),
    reclaim_stat<&SchemeStat::sz_tried>("bytes_reclaim_tried_regions"),
    reclaim_stat<&SchemeStat::nr_applied>("nr_reclaimed_regions"),
    reclaim_stat<&SchemeStat::sz_applied>("bytes_reclaimed_regions"),
    reclaim_stat<&SchemeStat::qt_exceeds>("nr_quota_exceeds"),
};
constexpr DirectoryType kReclaim = {"damon_reclaim", kReclaimRows};

// damon_lru_sort

template <auto... Path>
constexpr Attribute lru_sort_row(std::string_view name) {
  return row<&LruSortFiles::params, Path...>(name);
}
template <auto... Path>
constexpr Attribute lru_sort_stat(std::string_view name) {
  return report_row<LruSortFiles, Path...>(name);
}

constexpr Attribute kLruSortRows[] = {
    enabled_row<LruSortFiles>(),
    commit_inputs_row<LruSortFiles>(),
    lru_sort_row<&LruSortParams::active_mem_bp>("active_mem_bp"),
    lru_sort_row<&LruSortParams::physical, &PhysicalParams::autotune_intervals>(
        "autotune_monitoring_intervals"),
    lru_sort_row<&LruSortParams::filter_young_pages>("filter_young_pages"),
    lru_sort_row<&LruSortParams::hot_thres_access_freq>("hot_thres_access_freq"),
    lru_sort_row<&LruSortParams::cold_min_age_us>("cold_min_age"),
    lru_sort_row<&LruSortParams::quota, &ModuleQuota::ms>("quota_ms"),
    lru_sort_row<&LruSortParams::quota, &ModuleQuota::reset_interval_ms>("quota_reset_interval_ms"),
    lru_sort_row<&LruSortParams::watermarks, &Watermarks::interval_us>("wmarks_interval"),
    lru_sort_row<&LruSortParams::watermarks, &Watermarks::high>("wmarks_high"),
    lru_sort_row<&LruSortParams::watermarks, &Watermarks::mid>("wmarks_mid"),
    lru_sort_row<&LruSortParams::watermarks, &Watermarks::low>("wmarks_low"),
    lru_sort_row<&LruSortParams::physical, &PhysicalParams::sample_us>("sample_interval"),
    lru_sort_row<&LruSortParams::physical, &PhysicalParams::aggr_us>("aggr_interval"),
    lru_sort_row<&LruSortParams::physical, &PhysicalParams::min_nr_regions>("min_nr_regions"),
    lru_sort_row<&LruSortParams::physical, &PhysicalParams::max_nr_regions>("max_nr_regions"),
    lru_sort_row<&LruSortParams::physical, &PhysicalParams::region, &AddrRange::start>(
        "monitor_region_start"),
    lru_sort_row<&LruSortParams::physical, &PhysicalParams::region, &AddrRange::end>(
        "monitor_region_end"),
    lru_sort_row<&LruSortParams::physical, &PhysicalParams::addr_unit>("addr_unit"),
    kdamond_pid_row<LruSortFiles>(),
    lru_sort_stat<&LruSortReport::hot, &SchemeStat::nr_tried>("nr_lru_sort_tried_hot_regions"),
    lru_sort_stat<&LruSortReport::hot, &SchemeStat::sz_tried>("bytes_lru_sort_tried_hot_regions"),
    lru_sort_stat<&LruSortReport::hot, &SchemeStat::nr_applied>("nr_lru_sorted_hot_regions"),
    lru_sort_stat<&LruSortReport::hot, &SchemeStat::sz_applied>("bytes_lru_sorted_hot_regions"),
    lru_sort_stat<&LruSortReport::hot, &SchemeStat::qt_exceeds>("nr_hot_quota_exceeds"),
    lru_sort_stat<&LruSortReport::cold, &SchemeStat::nr_tried>("nr_lru_sort_tried_cold_regions"),
    lru_sort_stat<&LruSortReport::cold, &SchemeStat::sz_tried>("bytes_lru_sort_tried_cold_regions"),
    lru_sort_stat<&LruSortReport::cold, &SchemeStat::nr_applied>("nr_lru_sorted_cold_regions"),
    lru_sort_stat<&LruSortReport::cold, &SchemeStat::sz_applied>("bytes_lru_sorted_cold_regions"),
    lru_sort_stat<&LruSortReport::cold, &SchemeStat::qt_exceeds>("nr_cold_quota_exceeds"),
};
constexpr DirectoryType kLruSort = {"damon_lru_sort", kLruSortRows};

// damon_stat

Result<std::string> show_percentiles(const Call& call) {
  const StatReport report = call.object<StatFiles>().module.report();
  return fmt::format("{}\n", fmt::join(report.idle_ms, ","));
}

constexpr Attribute kStatRows[] = {
    enabled_row<StatFiles>(),
    kdamond_pid_row<StatFiles>(),
    report_row<StatFiles, &StatReport::aggr_us>("aggr_interval_us"),
    report_row<StatFiles, &StatReport::bytes_per_second>("estimated_memory_bandwidth"),
    {"memory_idle_ms_percentiles", 0400, show_percentiles, nullptr},
};
constexpr DirectoryType kStat = {"damon_stat", kStatRows};

template <class Files>
void add_module(Directory& modules, std::string name, const DirectoryType& parameters,
                const ModuleWorld& world, uint64_t report_period_ns) {
  Directory& module = modules.add_child(std::move(name), kPlainDirectory, nullptr);
  module.add_child("parameters", parameters, std::make_shared<Files>(world, report_period_ns));
}

template <class Files>
Result<std::unique_ptr<Context>> context_of(const Directory& parameters, const Machine& machine) {
  auto params = static_cast<const Files*>(parameters.object().get())->params;
  return build_context(params, module_world(machine), ContextUse::start);
}

}  // namespace

ModuleWorld module_world(const Machine& machine) {
  ModuleWorld world;
  world.make_operations = [make = machine.make_operations] { return make(OpsId::paddr); };
  world.biggest_system_ram = [find = machine.biggest_system_ram]() -> Result<AddrRange> {
    if (!find) return fail(EINVAL, "physical memory cannot be watched here");
    return find();
  };
  world.kdamonds = machine.kdamonds;
  world.clock = machine.clock;
  world.trace = machine.trace;
  world.seed = machine.seed;
  return world;
}

Result<std::unique_ptr<Context>> module_context(const Directory& parameters,
                                                const Machine& machine) {
  if (&parameters.type() == &kReclaim) return context_of<ReclaimFiles>(parameters, machine);
  if (&parameters.type() == &kLruSort) return context_of<LruSortFiles>(parameters, machine);
  return context_of<StatFiles>(parameters, machine);
}

void add_modules(Tree& tree, const Machine& machine) {
  const std::lock_guard lock(tree.mutex());
  Directory& modules = tree.root().add_child("module", kPlainDirectory, nullptr);
  const ModuleWorld world = module_world(machine);
  add_module<ReclaimFiles>(modules, "damon_reclaim", kReclaim, world, kAlways);
  add_module<LruSortFiles>(modules, "damon_lru_sort", kLruSort, world, kAlways);
  add_module<StatFiles>(modules, "damon_stat", kStat, world, kNowAndThen);
}

}  // namespace damonfs
