#include "fs/damon/context_builder.h"

#include <algorithm>
#include <bit>
#include <cerrno>

#include "core/base/arithmetic.h"
#include "fs/damon/keywords.h"
#include "fs/damon/sample_directories.h"
#include "fs/tree/values.h"

namespace damonfs {

namespace {

Result<void> check_memcg(std::string_view path, const Machine& machine) {
  if (!machine.find_memcg) return fail(EINVAL, "memory cgroups are not in reach here");
  path = without_newline(path);
  const auto id = machine.find_memcg(path);
  if (!id) return fail(EINVAL, "memory cgroup {:?}: {}", path, id.error().message);
  return {};
}

// Puts where it happened before an error's message, and overrides its number if `code` is not 0.
template <class... Args>
Error within(const Error& error, int code, fmt::format_string<Args...> place, Args&&... args) {
  return {code != 0 ? code : error.code,
          fmt::format(place, std::forward<Args>(args)...) + ": " + error.message};
}

Result<Probe> build_probe(const SysfsProbe& files, const Machine& machine) {
  Probe probe;
  probe.weight = files.weight;
  for (const auto& prep : files.preps.items()) probe.preps.push_back(prep->action);
  for (const auto& file : files.filters.items()) {
    ProbeFilter filter = *file;
    if (filter.type == ProbeFilterType::memcg) {
      if (auto known = check_memcg(filter.path, machine); !known) {
        return tl::unexpected(known.error());
      }
      filter.path = without_newline(file->path);
    }
    if (filter.type == ProbeFilterType::hugepage_size && filter.min_sz > filter.max_sz) {
      return fail(EINVAL, "hugepage_size: min {} is above max {}", filter.min_sz, filter.max_sz);
    }
    probe.filters.push_back(std::move(filter));
  }
  return probe;
}

Result<void> add_probes(Context& context, const SysfsContext& files, const Machine& machine) {
  if (!files.probes.empty() && context.operations && !context.operations->takes_probes()) {
    return fail(EINVAL, "probes are not for operations {}", keyword_of(files.operations));
  }
  for (size_t p = 0; p < files.probes.size(); ++p) {
    auto probe = build_probe(files.probes[p], machine);
    if (!probe) return tl::unexpected(within(probe.error(), 0, "probes/{}", p));
    context.probes.push_back(*std::move(probe));
  }
  return {};
}

// Unlike core's align_up() it wraps around to 0 at the end of the address space, as the kernel
// does: such a region is empty.
uint64_t round_up(uint64_t addr, uint64_t unit) {
  const uint64_t rest = addr % unit;
  return rest == 0 ? addr : addr + (unit - rest);
}

// The target's initial regions, ascending and in whole units of `min_region_sz`. EINVAL where one
// is empty or comes before the end of the one before it.
Result<std::vector<AddrRange>> build_regions(const Numbered<AddrRange>& files,
                                             uint64_t min_region_sz) {
  std::vector<AddrRange> ranges;
  ranges.reserve(files.size());
  for (size_t i = 0; i < files.size(); ++i) {
    const AddrRange& raw = files[i];
    const AddrRange range{align_down(raw.start, min_region_sz), round_up(raw.end, min_region_sz)};
    if (range.start >= range.end) {
      return fail(EINVAL, "regions/{}: end {:#x} is not above start {:#x}", i, raw.end, raw.start);
    }
    if (i > 0 && (files[i - 1].end > raw.start || ranges.back().end > range.start)) {
      return fail(EINVAL, "regions/{}: start {:#x} is below the end of the region before it", i,
                  raw.start);
    }
    ranges.push_back(range);
  }
  return ranges;
}

// The process that a target names, if it still is there.
Result<std::shared_ptr<TargetHandle>> process_of(const SysfsTarget& files) {
  const auto& [handle, identity, refusal] = files.process;
  if (!handle) return fail(EINVAL, "pid_target {}: {}", files.pid, refusal);
  if (handle->exists()) return handle;
  return fail(EINVAL, "pid_target {}: the process that had this number when it was written is gone",
              files.pid);
}

Result<void> add_one_target(Context& context, const SysfsTarget& files) {
  std::shared_ptr<TargetHandle> handle;
  if (context.ops_id != OpsId::paddr) {
    auto process = process_of(files);
    // It will be noticed that it has gone.
    if (!process && context.follows) return {};
    if (!process) return tl::unexpected(process.error());
    handle = *std::move(process);
  }
  const auto ranges = build_regions(files.regions, context.min_region_sz);
  if (!ranges) return tl::unexpected(ranges.error());
  Target& target = context.add_target(std::move(handle));
  target.obsolete = files.obsolete;
  target.set_regions(*ranges, context.min_region_sz);
  return {};
}

Result<void> add_targets(Context& context, const SysfsContext& files) {
  context.follows = files.followed != nullptr;
  if (context.follows && context.ops_id != OpsId::vaddr) {
    return fail(EINVAL, "targets can follow a service with operations vaddr, not with {}",
                keyword_of(context.ops_id));
  }
  if (context.ops_id == OpsId::paddr && files.targets.size() > 1) {
    return fail(EINVAL, "{} targets, but there is only one physical address space",
                files.targets.size());
  }
  for (size_t i = 0; i < files.targets.size(); ++i) {
    if (auto added = add_one_target(context, files.targets[i]); !added) {
      return tl::unexpected(within(added.error(), 0, "targets/{}", i));
    }
  }
  return {};
}

Result<void> add_filters(Filters& filters, const Numbered<Filter>& files, const Machine& machine) {
  for (const auto& file : files.items()) {
    Filter filter = *file;
    if (filter.type == FilterType::memcg) {
      if (auto known = check_memcg(filter.memcg_path, machine); !known) return known;
      filter.memcg_path = without_newline(file->memcg_path);
    }
    if (filter.type == FilterType::addr && filter.addr.end < filter.addr.start) {
      return fail(EINVAL, "addr_end {:#x} is below addr_start {:#x}", filter.addr.end,
                  filter.addr.start);
    }
    if ((filter.type == FilterType::hugepage_size || filter.type == FilterType::probe_hits_wsum) &&
        filter.min_sz > filter.max_sz) {
      return fail(EINVAL, "{}: min {} is above max {}", keyword_of(filter.type), filter.min_sz,
                  filter.max_sz);
    }
    (handled_by_core(filter.type) ? filters.core : filters.ops).push_back(std::move(filter));
  }
  return {};
}

Result<Filters> build_filters(const SysfsScheme& files, const Machine& machine) {
  Filters filters;
  const std::pair<std::string_view, const Numbered<Filter>*> directories[] = {
      {"core_filters", &files.core_filters},
      {"ops_filters", &files.ops_filters},
      {"filters", &files.filters},
  };
  for (const auto& [name, directory] : directories) {
    if (auto added = add_filters(filters, *directory, machine); !added) {
      return tl::unexpected(within(added.error(), 0, "{}", name));
    }
  }
  return filters;
}

AccessPattern build_pattern(const SysfsScheme& files) {
  AccessPattern pattern;
  pattern.min_sz = files.sz.min;
  pattern.max_sz = files.sz.max;
  // The kernel keeps the lower halves, too.
  pattern.min_nr_accesses = static_cast<uint32_t>(files.nr_accesses.min);
  pattern.max_nr_accesses = static_cast<uint32_t>(files.nr_accesses.max);
  pattern.min_age = static_cast<uint32_t>(files.age.min);
  pattern.max_age = static_cast<uint32_t>(files.age.max);
  return pattern;
}

Result<SchemeParams> build_scheme(const SysfsScheme& files, const Machine& machine) {
  SchemeParams params;
  params.pattern = build_pattern(files);
  params.action = files.action;
  params.target_nid = files.target_nid;
  params.apply_interval_us = files.apply_interval_us;
  params.max_nr_snapshots = files.max_nr_snapshots;
  params.watermarks = files.watermarks;
  for (const auto& dest : files.dests.items()) params.dests.push_back(*dest);
  auto filters = build_filters(files, machine);
  if (!filters) return tl::unexpected(filters.error());
  params.filters = *std::move(filters);
  return params;
}

Result<void> add_schemes(Context& context, const SysfsContext& files, const Machine& machine) {
  for (size_t i = 0; i < files.schemes.size(); ++i) {
    const SysfsScheme& scheme = files.schemes[i];
    auto goals = build_goals(scheme.quota.goals, machine);
    if (!goals) return tl::unexpected(within(goals.error(), ENOMEM, "schemes/{}/quotas", i));
    auto params = build_scheme(scheme, machine);
    if (!params) return tl::unexpected(within(params.error(), ENOMEM, "schemes/{}", i));
    QuotaParams& quota = context.add_scheme(*std::move(params)).quota.params;
    quota = scheme.quota.params;
    quota.goals = *std::move(goals);
  }
  return {};
}

// A context whose probes weigh something counts their hits in place of accesses; the sum must fit
// its counter.
Result<void> check_probe_weights(const SysfsContext& files) {
  uint64_t sum = 0;
  for (const auto& probe : files.probes.items()) sum += probe->weight;
  if (sum == 0) return {};
  const uint64_t samples = files.attrs.aggr_us / std::max<uint64_t>(files.attrs.sample_us, 1);
  if (samples > UINT8_MAX) {
    return fail(EINVAL, "{} samples an aggregation are too many for weighted probes", samples);
  }
  if (sum * std::max<uint64_t>(samples, 1) > UINT32_MAX) {
    return fail(EINVAL, "weights of probes are too big: {} in sum", sum);
  }
  return {};
}

// What can be told only of the whole.
Result<void> check_whole(const Context& context, const SysfsContext& files) {
  if (!std::has_single_bit(context.min_region_sz)) {
    return fail(EINVAL, "addr_unit {} makes regions of at least {} units, no power of two",
                context.addr_unit, context.min_region_sz);
  }
  for (const Scheme& scheme : context.schemes) {
    for (const QuotaGoal& goal : scheme.quota.params.goals) {
      if (goal.metric == GoalMetric::node_eligible_mem_bp && context.ops_id != OpsId::paddr) {
        return fail(EINVAL, "a goal of {} is for paddr only", keyword_of(goal.metric));
      }
    }
  }
  return check_probe_weights(files);
}

}  // namespace

void name_process(SysfsTarget& target, int pid, int writer, const Machine& machine) {
  target.pid = pid;
  target.process = {};
  auto opened = machine.open_target(pid, writer);
  if (opened) {
    target.process = {*opened, (*opened)->identity(), ""};
  } else {
    target.process.refusal = opened.error().message;
  }
}

Result<std::vector<QuotaGoal>> build_goals(const Numbered<QuotaGoal>& files,
                                           const Machine& machine) {
  std::vector<QuotaGoal> goals;
  for (const auto& file : files.items()) {
    if (file->target_value == 0) continue;
    QuotaGoal goal = *file;
    if (goal.metric == GoalMetric::node_memcg_used_bp ||
        goal.metric == GoalMetric::node_memcg_free_bp) {
      if (auto known = check_memcg(goal.path, machine); !known) {
        return tl::unexpected(known.error());
      }
      goal.path = without_newline(file->path);
    }
    if (goal.metric != GoalMetric::user_input) goal.current_value = 0;
    goals.push_back(std::move(goal));
  }
  return goals;
}

Result<std::unique_ptr<Context>> build_context(const SysfsContext& files, const Machine& machine,
                                               std::optional<OpsId> running) {
  const ContextUse use = running == files.operations ? ContextUse::commit : ContextUse::start;
  auto made = make_context(machine, files.operations, use, files.attrs, files.addr_unit);
  if (!made) return made;
  std::unique_ptr<Context> context = *std::move(made);
  context->pause = files.pause;
  if (files.sweep_bp) context->sweep_bp = *files.sweep_bp;
  Result<void> valid = context->attrs.validate();
  if (valid) valid = check_sample(files.sample, machine);
  if (valid) valid = add_probes(*context, files, machine);
  if (valid) valid = add_targets(*context, files);
  if (valid) valid = add_schemes(*context, files, machine);
  if (valid) valid = check_whole(*context, files);
  if (!valid) return tl::unexpected(valid.error());
  return context;
}

Result<void> check_none_obsolete(const SysfsContext& files) {
  for (size_t i = 0; i < files.targets.size(); ++i) {
    if (files.targets[i].obsolete) {
      return fail(EINVAL, "targets/{}: obsolete, but no such target is watched yet", i);
    }
  }
  return {};
}

}  // namespace damonfs
