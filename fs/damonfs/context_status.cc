#include "fs/damonfs/context_status.h"

#include <algorithm>
#include <span>
#include <string>

#include "fs/damon/keywords.h"
#include "fs/damonfs/swept_word.h"

namespace damonfs {

namespace {

using Json = JsonValue;

// An array of what `to_json` makes of each item.
template <class List, class Fn>
Json array_of(const List& items, const Fn& to_json) {
  Json array = Json::array();
  for (const auto& item : items) array.push_back(to_json(item));
  return array;
}

Json bounds(uint64_t min, uint64_t max) { return {{"min", min}, {"max", max}}; }

// Files, as the tree has them; only the argument that belongs to the type.

Json probe_filter_json(const ProbeFilter& filter) {
  Json json = {
      {"type", keyword_of(filter.type)}, {"matching", filter.matching}, {"allow", filter.allow}};
  if (filter.type == ProbeFilterType::memcg) json["path"] = filter.path;
  if (filter.type == ProbeFilterType::hugepage_size) {
    json.update(bounds(filter.min_sz, filter.max_sz));
  }
  return json;
}

Json probe_json(const Probe& probe) {
  const auto prep_json = [](PrepAction action) {
    return Json{{"prep_action", keyword_of(action)}};
  };
  return {{"weight", probe.weight},
          {"preps", array_of(probe.preps, prep_json)},
          {"filters", array_of(probe.filters, probe_filter_json)}};
}

Json filter_json(const Filter& filter) {
  Json json = {
      {"type", keyword_of(filter.type)}, {"matching", filter.matching}, {"allow", filter.allow}};
  switch (filter.type) {
    case FilterType::memcg:
      json["memcg_path"] = filter.memcg_path;
      break;
    case FilterType::addr:
      json["addr_start"] = filter.addr.start;
      json["addr_end"] = filter.addr.end;
      break;
    case FilterType::target:
      json["damon_target_idx"] = filter.target_idx;
      break;
    case FilterType::hugepage_size:
    case FilterType::probe_hits_wsum:
      json.update(bounds(filter.min_sz, filter.max_sz));
      break;
    case FilterType::anon:
    case FilterType::active:
    case FilterType::young:
    case FilterType::unmapped:
      break;
  }
  return json;
}

Json goal_json(const QuotaGoal& goal) {
  return {{"target_metric", keyword_of(goal.metric)},
          {"target_value", goal.target_value},
          {"current_value", goal.current_value},
          {"nid", goal.nid},
          {"path", goal.path},
          {"complement", goal.complement}};
}

Json quota_json(const QuotaParams& quota, uint64_t effective_bytes) {
  return {{"ms", quota.ms},
          {"bytes", quota.bytes},
          {"reset_interval_ms", quota.reset_interval_ms},
          {"effective_bytes", effective_bytes},
          {"weights",
           {{"sz_permil", quota.sz_permil},
            {"nr_accesses_permil", quota.nr_accesses_permil},
            {"age_permil", quota.age_permil}}},
          {"fail_charge_num", quota.fail_charge_num},
          {"fail_charge_denom", quota.fail_charge_denom},
          {"goal_tuner", keyword_of(quota.goal_tuner)},
          {"goals", array_of(quota.goals, goal_json)}};
}

Json watermarks_json(const Watermarks& marks) {
  return {{"metric", keyword_of(marks.metric)},
          {"interval_us", marks.interval_us},
          {"high", marks.high},
          {"mid", marks.mid},
          {"low", marks.low}};
}

Json stats_json(const SchemeStat& stat, uint64_t max_nr_snapshots) {
  return {{"nr_tried", stat.nr_tried},
          {"sz_tried", stat.sz_tried},
          {"nr_applied", stat.nr_applied},
          {"sz_applied", stat.sz_applied},
          {"sz_ops_filter_passed", stat.sz_ops_filter_passed},
          {"qt_exceeds", stat.qt_exceeds},
          {"nr_snapshots", stat.nr_snapshots},
          {"max_nr_snapshots", max_nr_snapshots}};
}

Json scheme_json(const ContextStatus::OfScheme& scheme) {
  const SchemeParams& params = scheme.params;
  const AccessPattern& pattern = params.pattern;
  const auto dest_json = [](const ActionDest& dest) {
    return Json{{"id", dest.id}, {"weight", dest.weight}};
  };
  return {{"action", keyword_of(params.action)},
          {"active", scheme.active},
          {"apply_interval_us", params.apply_interval_us},
          {"target_nid", params.target_nid},
          {"dests", array_of(params.dests, dest_json)},
          {"access_pattern",
           {{"sz", bounds(pattern.min_sz, pattern.max_sz)},
            {"nr_accesses", bounds(pattern.min_nr_accesses, pattern.max_nr_accesses)},
            {"age", bounds(pattern.min_age, pattern.max_age)}}},
          {"quotas", quota_json(scheme.quota, scheme.effective_bytes)},
          {"watermarks", watermarks_json(params.watermarks)},
          {"core_filters", array_of(params.filters.core, filter_json)},
          {"ops_filters", array_of(params.filters.ops, filter_json)},
          {"stats", stats_json(scheme.stat, params.max_nr_snapshots)}};
}

Json target_json(const ContextStatus::OfTarget& target, size_t nr_probes) {
  Json regions = Json::array();
  for (const ContextStatus::OfRegion& region : target.regions) {
    Json json = {{"start", region.range.start},           {"end", region.range.end},
                 {"nr_accesses", region.nr_accesses},     {"age", region.age},
                 {"sampling_addr", region.sampling_addr}, {"swept", word_of(region.swept)}};
    if (nr_probes != 0) {
      const auto hits = std::span(region.probe_hits).first(nr_probes);
      json["probe_hits"] = array_of(hits, [](unsigned number) { return Json(number); });
    }
    regions.push_back(std::move(json));
  }
  return {{"pid_target", target.pid},
          {"obsolete_target", target.obsolete},
          {"nr_regions", target.regions.size()},
          {"regions", std::move(regions)}};
}

Json attrs_json(const MonitoringAttrs& attrs, const std::vector<Probe>& probes) {
  const IntervalsGoal& goal = attrs.intervals_goal;
  return {{"intervals",
           {{"sample_us", attrs.sample_us},
            {"aggr_us", attrs.aggr_us},
            {"update_us", attrs.update_us},
            {"intervals_goal",
             {{"access_bp", goal.access_bp},
              {"aggrs", goal.aggrs},
              {"min_sample_us", goal.min_sample_us},
              {"max_sample_us", goal.max_sample_us}}}}},
          {"nr_regions", bounds(attrs.min_nr_regions, attrs.max_nr_regions)},
          {"probes", array_of(probes, probe_json)}};
}

Json duration_json(const DurationStat& stat) {
  constexpr double kNsPerUs = 1000;
  return {{"mean", static_cast<double>(stat.mean_ns()) / kNsPerUs},
          {"max", static_cast<double>(stat.max_ns) / kNsPerUs}};
}

Json timing_json(const IntervalTiming& timing) {
  return {{"nr_samples", timing.late.count},
          {"late_us", duration_json(timing.late)},
          {"work_us", duration_json(timing.work)}};
}

}  // namespace

ContextStatus ContextStatus::of(const Context& context) {
  ContextStatus status;
  status.operations = context.ops_id;
  status.addr_unit = context.addr_unit;
  status.min_region_sz = context.min_region_sz;
  status.pause = context.pause;
  status.sweep_bp = context.sweep_bp;
  status.attrs = context.attrs;
  status.probes = context.probes;
  status.timing = context.timing;
  for (const Target& target : context.targets) {
    OfTarget& of_target = status.targets.emplace_back();
    if (target.handle) of_target.pid = target.handle->pid();
    of_target.obsolete = target.obsolete;
    of_target.regions.reserve(target.nr_regions());
    status.unknown_bytes += target.sweeps.unknown_bytes;
    const bool first = status.targets.size() == 1;
    status.passes =
        first ? target.sweeps.nr_passes : std::min(status.passes, target.sweeps.nr_passes);
    for (const Region& region : target.regions()) {
      const uint64_t bytes = region.range.size() * context.addr_unit;
      if (region.swept == SweptState::accessed) status.accessed_bytes += bytes;
      of_target.regions.push_back({region.range, region.sampling_addr,
                                   context.moving_nr_accesses(region), region.age, region.swept,
                                   context.moving_probe_hits(region)});
    }
  }
  for (const Scheme& scheme : context.schemes) {
    status.schemes.push_back(
        {scheme.params, scheme.quota.params, scheme.quota.esz(), scheme.stat, scheme.active});
  }
  return status;
}

JsonValue ContextStatus::to_json() const {
  size_t nr_regions = 0;
  for (const OfTarget& target : targets) nr_regions += target.regions.size();
  const auto with_probes = [this](const OfTarget& target) {
    return target_json(target, probes.size());
  };
  return {{"operations", keyword_of(operations)},
          {"addr_unit", addr_unit},
          {"min_region_sz", min_region_sz},
          {"pause", pause},
          {"monitoring_attrs", attrs_json(attrs, probes)},
          {"sampling",
           {{"last_aggregation", timing_json(timing.last_aggregation)},
            {"since_start", timing_json(timing.since_start)}}},
          {"sweep",
           {{"percent", static_cast<double>(sweep_bp) / 100},
            {"accessed_bytes", accessed_bytes},
            {"unknown_bytes", unknown_bytes},
            {"passes", passes}}},
          {"nr_regions", nr_regions},
          {"targets", array_of(targets, with_probes)},
          {"schemes", array_of(schemes, scheme_json)}};
}

}  // namespace damonfs
