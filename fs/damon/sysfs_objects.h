// What users wrote into DAMON's files: plain values, one struct a kind of directory, with the
// kernel's defaults. They have no effect by themselves; `on` and `commit` take a copy and build a
// context from it. Where core has a plain value of the same shape (attributes, filters, goals,
// ...), that is the struct. All of them are owned by their parent's struct and shared with the
// directory that shows them; they are touched only under the tree's lock, but for copies, which
// belong to whoever took them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/attrs.h"
#include "core/filters.h"
#include "core/operations.h"
#include "core/probes.h"
#include "core/quota.h"
#include "core/region.h"
#include "core/scheme.h"
#include "core/target.h"
#include "core/watermarks.h"
#include "fs/tree/numbered.h"

namespace damonfs {

class Followers;
struct Followed;
struct Machine;

// The process that was named by the last write of a pid_target, held since then: the number may
// pass to others.
struct PinnedProcess {
  std::shared_ptr<TargetHandle> handle;          // null: none
  std::string identity;                          // of it, as it was held
  std::string refusal = "no process was named";  // why there is none
};

// targets/T; regions/R are plain ranges, in any order and shape until a context is built.
struct SysfsTarget {
  int32_t pid = 0;  // as written
  PinnedProcess process;
  bool obsolete = false;
  Numbered<AddrRange> regions;
};

// monitoring_attrs/probes/P/preps/N
struct SysfsProbePrep {
  PrepAction action = PrepAction::set_pgidle;
};

// monitoring_attrs/probes/P
struct SysfsProbe {
  uint32_t weight = 0;
  Numbered<SysfsProbePrep> preps;
  Numbered<ProbeFilter> filters;
};

// What sampled accesses are told apart by. Of the first two, user space never learns.
enum class SampleFilterType { cpumask, threads, write };

// monitoring_attrs/sample/filters/F
struct SysfsSampleFilter {
  SampleFilterType type = SampleFilterType::write;
  bool matching = false;
  bool allow = false;
  std::string cpumask;
  std::string tid_arr;
};

// monitoring_attrs/sample, and operations_attrs, which was before it: what accesses are counted.
struct SysfsSample {
  bool page_table = true;
  bool page_fault = false;
  Numbered<SysfsSampleFilter> filters;
  bool use_reports = false;
  bool write_only = false;
  std::string cpus = "all";
  std::string tids;
};

// Two bounds as their files `min` and `max` hold them; nothing says that min is the lower one.
struct SysfsRange {
  uint64_t min = 0;
  uint64_t max = 0;
};

// schemes/S/quotas
struct SysfsQuotas {
  QuotaParams params;            // but for the goals, which are below
  uint64_t effective_bytes = 0;  // written by the update commands only
  Numbered<QuotaGoal> goals;
};

// schemes/S and what has no number below it.
struct SysfsScheme {
  Action action = Action::stat;
  uint64_t apply_interval_us = 0;
  int32_t target_nid = -1;
  SysfsRange sz;
  SysfsRange nr_accesses;
  SysfsRange age;
  Numbered<ActionDest> dests;
  SysfsQuotas quota;
  Watermarks watermarks;
  Numbered<Filter> core_filters;
  Numbered<Filter> ops_filters;
  Numbered<Filter> filters;  // of both kinds
  uint64_t max_nr_snapshots = 0;
  SchemeStat stat;                // written by the update commands only, as is
  uint64_t tried_regions_sz = 0;  // tried_regions/total_bytes
};

// schemes/S/tried_regions/N: one region as a scheme was applied to it. Owned by its directory
// alone.
struct SysfsTriedRegion {
  AddrRange range;
  uint32_t nr_accesses = 0;
  uint32_t age = 0;
  uint64_t sz_filter_passed = 0;
  size_t nr_probes = 0;
  ProbeHits probe_hits{};  // probes/P/hits
};

// schemes/S/tried_regions/N/probes/P
struct SysfsProbeHits {
  uint8_t hits = 0;
};

// contexts/C and what has no number below it.
struct SysfsContext {
  std::shared_ptr<const Machine> machine;  // of the tree whose directory shows it
  OpsId operations = OpsId::vaddr;
  uint64_t addr_unit = 1;
  bool pause = false;
  MonitoringAttrs attrs;
  std::optional<uint64_t> sweep_bp;  // for sweeps, beside the ABI; none: Machine::sweep_bp
  Numbered<SysfsProbe> probes;
  SysfsSample sample;
  Numbered<SysfsTarget> targets;
  Numbered<SysfsScheme> schemes;
  // Beside the ABI: what the targets follow (null: nothing), and how many they are at most. While
  // there is something, only its follower changes which targets there are.
  std::shared_ptr<Followed> followed;
  size_t follow_max = 512;         // kMaxMembers of services/member_finder.h
  Followers* followers = nullptr;  // of the tree; null: nobody follows
};

}  // namespace damonfs
