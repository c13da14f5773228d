#include "fs/modules/module_files.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>

#include "fs/modules/module_commands.h"

namespace damonfs {

namespace {

// A report is small, and nobody notices one that is a sampling interval older.
constexpr uint64_t kAlways = 0;
// Going through all regions takes time; what it finds changes slowly.
constexpr uint64_t kNowAndThen = 5'000'000'000;

// What damon_reclaim and damon_lru_sort have alike.

template <class Files, auto... Path>
constexpr Attribute physical_row(std::string_view name) {
  return row<&Files::params, &decltype(Files::params)::physical, Path...>(name);
}

Result<void> above_zero(uint64_t unit) {
  if (unit == 0) return fail(EINVAL, "a unit of address cannot be 0 bytes");
  return {};
}

template <class Files, class Params = decltype(Files::params)>
constexpr Attribute kCommonRows[] = {
    enabled_row<Files>(),
    commit_inputs_row<Files>(),
    kdamond_pid_row<Files>(),
    row<&Files::params, &Params::quota, &ModuleQuota::ms>("quota_ms"),
    row<&Files::params, &Params::quota, &ModuleQuota::reset_interval_ms>("quota_reset_interval_ms"),
    row<&Files::params, &Params::watermarks, &Watermarks::interval_us>("wmarks_interval"),
    row<&Files::params, &Params::watermarks, &Watermarks::high>("wmarks_high"),
    row<&Files::params, &Params::watermarks, &Watermarks::mid>("wmarks_mid"),
    row<&Files::params, &Params::watermarks, &Watermarks::low>("wmarks_low"),
    physical_row<Files, &PhysicalParams::sample_us>("sample_interval"),
    physical_row<Files, &PhysicalParams::aggr_us>("aggr_interval"),
    physical_row<Files, &PhysicalParams::autotune_intervals>("autotune_monitoring_intervals"),
    physical_row<Files, &PhysicalParams::min_nr_regions>("min_nr_regions"),
    physical_row<Files, &PhysicalParams::max_nr_regions>("max_nr_regions"),
    physical_row<Files, &PhysicalParams::region, &AddrRange::start>("monitor_region_start"),
    physical_row<Files, &PhysicalParams::region, &AddrRange::end>("monitor_region_end"),
    checked_row<above_zero, &Files::params, &Params::physical, &PhysicalParams::addr_unit>(
        "addr_unit"),
};

// Those, and the module's own.
template <class Files, size_t N>
constexpr auto with_common_rows(const Attribute (&own)[N]) {
  std::array<Attribute, std::size(kCommonRows<Files>) + N> rows{};
  std::ranges::copy(own, std::ranges::copy(kCommonRows<Files>, rows.begin()).out);
  return rows;
}

// damon_reclaim

template <auto Field>
constexpr Attribute reclaim_stat(std::string_view name) {
  return report_row<ReclaimFiles, &ReclaimReport::cold, Field>(name);
}

constexpr auto kReclaimRows = with_common_rows<ReclaimFiles>({
    row<&ReclaimFiles::params, &ReclaimParams::min_age_us>("min_age"),
    row<&ReclaimFiles::params, &ReclaimParams::quota, &ModuleQuota::bytes>("quota_sz"),
    row<&ReclaimFiles::params, &ReclaimParams::quota_mem_pressure_us>("quota_mem_pressure_us"),
    row<&ReclaimFiles::params, &ReclaimParams::quota_autotune_feedback>("quota_autotune_feedback"),
    row<&ReclaimFiles::params, &ReclaimParams::skip_anon>("skip_anon"),
    reclaim_stat<&SchemeStat::nr_tried>("nr_reclaim_tried_regions"),
    reclaim_stat<&SchemeStat::sz_tried>("bytes_reclaim_tried_regions"),
    reclaim_stat<&SchemeStat::nr_applied>("nr_reclaimed_regions"),
    reclaim_stat<&SchemeStat::sz_applied>("bytes_reclaimed_regions"),
    reclaim_stat<&SchemeStat::qt_exceeds>("nr_quota_exceeds"),
});
constexpr DirectoryType kReclaim = {"damon_reclaim", kReclaimRows};

// damon_lru_sort

template <auto... Path>
constexpr Attribute lru_sort_stat(std::string_view name) {
  return report_row<LruSortFiles, Path...>(name);
}

constexpr auto kLruSortRows = with_common_rows<LruSortFiles>({
    row<&LruSortFiles::params, &LruSortParams::active_mem_bp>("active_mem_bp"),
    row<&LruSortFiles::params, &LruSortParams::filter_young_pages>("filter_young_pages"),
    row<&LruSortFiles::params, &LruSortParams::hot_thres_access_freq>("hot_thres_access_freq"),
    row<&LruSortFiles::params, &LruSortParams::cold_min_age_us>("cold_min_age"),
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
});
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
                const Machine& machine, uint64_t report_period_ns) {
  Directory& module = modules.add_child(std::move(name), kPlainDirectory, nullptr);
  module.add_child("parameters", parameters, std::make_shared<Files>(machine, report_period_ns));
}

template <class Files>
Result<std::unique_ptr<Context>> context_of(const Directory& parameters, const Machine& machine) {
  auto params = static_cast<const Files*>(parameters.object().get())->params;
  return build_context(params, machine, ContextUse::start);
}

// Of the module of the directory `parameters`.
std::shared_ptr<Kdamond> kdamond_of(const Directory& parameters) {
  void* const files = parameters.object().get();
  if (&parameters.type() == &kReclaim) return static_cast<ReclaimFiles*>(files)->module.kdamond();
  if (&parameters.type() == &kLruSort) return static_cast<LruSortFiles*>(files)->module.kdamond();
  return static_cast<StatFiles*>(files)->module.kdamond();
}

}  // namespace

Result<std::unique_ptr<Context>> module_context(const Directory& parameters,
                                                const Machine& machine) {
  if (&parameters.type() == &kReclaim) return context_of<ReclaimFiles>(parameters, machine);
  if (&parameters.type() == &kLruSort) return context_of<LruSortFiles>(parameters, machine);
  return context_of<StatFiles>(parameters, machine);
}

std::vector<std::pair<std::string, std::shared_ptr<Kdamond>>> module_kdamonds(Tree& tree) {
  std::vector<std::pair<std::string, std::shared_ptr<Kdamond>>> found;
  const auto modules = tree.root().child("module");
  for (const auto& [name, module] : modules->children()) {
    found.emplace_back(module->path(), kdamond_of(*module->child("parameters")));
  }
  return found;
}

std::optional<StatReport> running_stat_report(Tree& tree) {
  for (const auto& [name, module] : tree.root().child("module")->children()) {
    const auto parameters = module->child("parameters");
    if (&parameters->type() != &kStat) continue;
    const auto& stat = static_cast<const StatFiles*>(parameters->object().get())->module;
    if (stat.running()) return stat.report();
  }
  return std::nullopt;
}

void add_modules(Tree& tree, const Machine& machine) {
  const std::lock_guard lock(tree.mutex());
  Directory& modules = tree.root().add_child("module", kPlainDirectory, nullptr);
  add_module<ReclaimFiles>(modules, "damon_reclaim", kReclaim, machine, kAlways);
  add_module<LruSortFiles>(modules, "damon_lru_sort", kLruSort, machine, kAlways);
  add_module<StatFiles>(modules, "damon_stat", kStat, machine, kNowAndThen);
}

}  // namespace damonfs
