#include "fs/damon/context_directories.h"

#include "core/machine.h"
#include "fs/damon/context_builder.h"
#include "fs/damon/keywords.h"
#include "fs/damon/sample_directories.h"
#include "fs/damon/scheme_directories.h"
#include "fs/tree/attributes.h"

namespace damonfs {

namespace {

// monitoring_attrs/probes

constexpr Attribute kProbePrepRows[] = {
    avail_row<PrepAction>("avail_prep_actions"),
    row<&SysfsProbePrep::action>("prep_action"),
};
constexpr DirectoryType kProbePrep = {"probe preparation", kProbePrepRows};

constexpr Attribute kProbePrepsRows[] = {
    count_row<add_leaf<kProbePrep>, &SysfsProbe::preps>("nr_preps"),
};
constexpr DirectoryType kProbePreps = {"probe preparations", kProbePrepsRows};

constexpr Attribute kProbeFilterRows[] = {
    avail_row<ProbeFilterType>("avail_types"), row<&ProbeFilter::type>("type"),
    row<&ProbeFilter::matching>("matching"),   row<&ProbeFilter::allow>("allow"),
    row<&ProbeFilter::path>("path"),           row<&ProbeFilter::min_sz>("min"),
    row<&ProbeFilter::max_sz>("max"),
};
constexpr DirectoryType kProbeFilter = {"probe filter", kProbeFilterRows};

constexpr Attribute kProbeFiltersRows[] = {
    count_row<add_leaf<kProbeFilter>, &SysfsProbe::filters>("nr_filters"),
};
constexpr DirectoryType kProbeFilters = {"probe filters", kProbeFiltersRows};

constexpr Attribute kProbeRows[] = {row<&SysfsProbe::weight>("weight")};
constexpr DirectoryType kProbe = {"probe", kProbeRows};

void add_probe(Directory& parent, std::string name, const std::shared_ptr<SysfsProbe>& files) {
  Directory& probe = parent.add_child(std::move(name), kProbe, files);
  probe.add_child("preps", kProbePreps, files);
  probe.add_child("filters", kProbeFilters, files);
}

constexpr Attribute kProbesRows[] = {
    count_row<add_probe, &SysfsContext::probes, 4>("nr_probes"),
};
constexpr DirectoryType kProbes = {"probes", kProbesRows};

// monitoring_attrs

constexpr Attribute kIntervalsRows[] = {
    row<&SysfsContext::attrs, &MonitoringAttrs::sample_us>("sample_us"),
    row<&SysfsContext::attrs, &MonitoringAttrs::aggr_us>("aggr_us"),
    row<&SysfsContext::attrs, &MonitoringAttrs::update_us>("update_us"),
};
constexpr DirectoryType kIntervals = {"intervals", kIntervalsRows};

template <auto Field>
constexpr Attribute goal_row(std::string_view name) {
  return row<&SysfsContext::attrs, &MonitoringAttrs::intervals_goal, Field>(name);
}
constexpr Attribute kIntervalsGoalRows[] = {
    goal_row<&IntervalsGoal::access_bp>("access_bp"),
    goal_row<&IntervalsGoal::aggrs>("aggrs"),
    goal_row<&IntervalsGoal::min_sample_us>("min_sample_us"),
    goal_row<&IntervalsGoal::max_sample_us>("max_sample_us"),
};
constexpr DirectoryType kIntervalsGoal = {"intervals goal", kIntervalsGoalRows};

constexpr Attribute kNrRegionsRows[] = {
    row<&SysfsContext::attrs, &MonitoringAttrs::min_nr_regions>("min"),
    row<&SysfsContext::attrs, &MonitoringAttrs::max_nr_regions>("max"),
};
constexpr DirectoryType kNrRegions = {"nr_regions", kNrRegionsRows};

void add_monitoring_attrs(Directory& parent, const std::shared_ptr<SysfsContext>& files) {
  Directory& attrs = parent.add_child("monitoring_attrs", kPlainDirectory, nullptr);
  Directory& intervals = attrs.add_child("intervals", kIntervals, files);
  intervals.add_child("intervals_goal", kIntervalsGoal, files);
  attrs.add_child("nr_regions", kNrRegions, files);
  attrs.add_child("probes", kProbes, files);
  add_sample(attrs, files);
}

// targets

constexpr Attribute kRegionRows[] = {
    row<&AddrRange::start>("start"),
    row<&AddrRange::end>("end"),
};
constexpr DirectoryType kRegion = {"region", kRegionRows};

constexpr Attribute kRegionsRows[] = {
    count_row<add_leaf<kRegion>, &SysfsTarget::regions>("nr_regions"),
};
constexpr DirectoryType kRegions = {"regions", kRegionsRows};

// Of a context that follows, only what changes nothing may be written here.
tl::unexpected<Error> is_followed() {
  return fail(EBUSY, "the targets follow a service (MOUNT/damonfs/.../follow), which changes them");
}

Result<std::string> show_pid_target(const Call& call) {
  return show_signed(call.object<SysfsTarget>().pid);
}

// Any number is taken, as by the kernel; one that means nobody now is refused when it is used.
Result<void> store_pid_target(const Call& call, std::string_view text) {
  const auto pid = parse_int(text);
  if (!pid) return fail(EINVAL, "{}", pid.error().message);
  const auto& context = *static_cast<SysfsContext*>(call.directory.parent()->object().get());
  if (context.followed) {
    return *pid == call.object<SysfsTarget>().pid ? Result<void>() : is_followed();
  }
  name_process(call.object<SysfsTarget>(), *pid, call.writer, *context.machine);
  return {};
}

constexpr Attribute kTargetRows[] = {
    {"pid_target", 0600, show_pid_target, store_pid_target},
    row<&SysfsTarget::obsolete>("obsolete_target"),
};
constexpr DirectoryType kTarget = {"target", kTargetRows};

void add_target(Directory& parent, std::string name, const std::shared_ptr<SysfsTarget>& files) {
  Directory& target = parent.add_child(std::move(name), kTarget, files);
  target.add_child("regions", kRegions, files);
}

Result<std::string> show_nr_targets(const Call& call) {
  return show_number(call.object<SysfsContext>().targets.size());
}

Result<void> store_nr_targets(const Call& call, std::string_view text) {
  auto& context = call.object<SysfsContext>();
  const auto count = parse_count(text, INT_MAX);
  if (!count) return tl::unexpected(count.error());
  if (context.followed) {
    const bool same = static_cast<size_t>(*count) == context.targets.size();
    return same ? Result<void>() : is_followed();
  }
  return renumber(call.directory, context.targets, *count, add_target);
}

constexpr Attribute kTargetsRows[] = {
    {"nr_targets", 0600, show_nr_targets, store_nr_targets},
};
constexpr DirectoryType kTargets = {"targets", kTargetsRows};

// contexts/C

constexpr Attribute kSchemesRows[] = {
    count_row<add_scheme, &SysfsContext::schemes>("nr_schemes"),
};
constexpr DirectoryType kSchemes = {"schemes", kSchemesRows};

Result<std::string> show_avail_operations(const Call& call) {
  std::string words;
  for (const OpsId id : call.object<SysfsContext>().machine->avail_operations) {
    words += show_keyword(keyword_of(id));
  }
  return words;
}

Result<void> check_addr_unit(uint64_t unit) {
  if (unit == 0) return fail(EINVAL, "a unit of address cannot be 0 bytes");
  return {};
}

constexpr Attribute kContextRows[] = {
    {"avail_operations", 0400, show_avail_operations, nullptr},
    row<&SysfsContext::operations>("operations"),
    checked_row<check_addr_unit, &SysfsContext::addr_unit>("addr_unit"),
    row<&SysfsContext::pause>("pause"),
};
constexpr DirectoryType kContext = {"context", kContextRows};

}  // namespace

void replace_targets(Directory& directory, SysfsContext& files,
                     std::vector<std::shared_ptr<SysfsTarget>> targets) {
  size_t same = 0;
  while (same < targets.size() && same < files.targets.size() &&
         targets[same] == files.targets.items()[same]) {
    ++same;
  }
  for (size_t i = same; i < files.targets.size(); ++i) directory.remove_child(std::to_string(i));
  for (size_t i = same; i < targets.size(); ++i) {
    add_target(directory, std::to_string(i), targets[i]);
  }
  files.targets.assign(std::move(targets));
}

void add_context(Directory& parent, std::string name, const std::shared_ptr<SysfsContext>& files) {
  Directory& context = parent.add_child(std::move(name), kContext, files);
  add_monitoring_attrs(context, files);
  add_operations_attrs(context, files);
  context.add_child("targets", kTargets, files);
  context.add_child("schemes", kSchemes, files);
}

}  // namespace damonfs
