#include "fs/damon/context_builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <functional>
#include <vector>

#include "tests/unit/fs/fake_machine.h"

namespace damonfs {
namespace {

using test::FakeProcess;
using test::FakeTree;

class ContextBuilder : public testing::Test {
 protected:
  void SetUp() override { name_process(*files_.targets.add(), 42, 1, machine_); }

  int error() {
    const auto context = build_context(files_, machine_);
    return context ? 0 : context.error().code;
  }
  std::unique_ptr<Context> built() {
    auto context = build_context(files_, machine_);
    EXPECT_TRUE(context) << context.error().message;
    return context ? *std::move(context) : nullptr;
  }
  // The ranges of the first target's regions, or an error's number alone.
  using Ranges = std::vector<AddrRange>;
  int error_of(const Ranges& ranges) {
    set_regions(ranges);
    return error();
  }
  Ranges built_of(const Ranges& ranges) {
    set_regions(ranges);
    Ranges found;
    const auto context = built();
    for (const Region& region : context->targets.front().regions()) found.push_back(region.range);
    return found;
  }
  void set_regions(const Ranges& ranges) {
    files_.targets[0].regions.clear();
    for (const AddrRange& range : ranges) *files_.targets[0].regions.add() = range;
  }

  FakeTree fake_;
  Machine machine_ = fake_.machine();
  SysfsContext files_;
};

TEST_F(ContextBuilder, TakesOverEverything) {
  files_.attrs.sample_us = 1000;
  files_.attrs.aggr_us = 20000;
  files_.attrs.min_nr_regions = 20;
  files_.pause = true;
  SysfsScheme& scheme = *files_.schemes.add();
  scheme.action = Action::pageout;
  scheme.sz = {4096, UINT64_MAX};
  scheme.nr_accesses = {1, (uint64_t{1} << 32) + 5};
  scheme.age = {2, 7};
  scheme.apply_interval_us = 5000;
  scheme.target_nid = 3;
  scheme.max_nr_snapshots = 9;
  scheme.watermarks = {WatermarkMetric::free_mem_rate, 1000, 500, 400, 300};
  scheme.quota.params.ms = 10;
  scheme.quota.params.bytes = 8192;
  *scheme.dests.add() = {1, 2};

  const auto context = built();
  EXPECT_EQ(context->attrs, files_.attrs);
  EXPECT_EQ(context->aggr_samples, 20u);
  EXPECT_TRUE(context->pause);
  ASSERT_EQ(context->targets.size(), 1u);
  EXPECT_EQ(dynamic_cast<FakeProcess&>(*context->targets.front().handle).pid(), 42);
  ASSERT_EQ(context->schemes.size(), 1u);
  const SchemeParams& params = context->schemes.front().params;
  const AccessPattern pattern{4096, UINT64_MAX, 1, 5, 2, 7};  // counts are cut to 32 bits
  EXPECT_EQ(params.pattern, pattern);
  EXPECT_EQ(params.action, Action::pageout);
  EXPECT_EQ(params.apply_interval_us, 5000u);
  EXPECT_EQ(params.target_nid, 3);
  EXPECT_EQ(params.max_nr_snapshots, 9u);
  EXPECT_EQ(params.watermarks, scheme.watermarks);
  ASSERT_EQ(params.dests.size(), 1u);
  EXPECT_EQ(params.dests[0].weight, 2u);
  EXPECT_EQ(context->schemes.front().quota.params.ms, 10u);
  EXPECT_EQ(context->schemes.front().quota.params.bytes, 8192u);
}

TEST_F(ContextBuilder, AttributesAreChecked) {
  const MonitoringAttrs good;
  const std::vector<std::function<void(MonitoringAttrs&)>> faults = {
      [](MonitoringAttrs& a) { a.min_nr_regions = 2; },
      [](MonitoringAttrs& a) { a.min_nr_regions = a.max_nr_regions + 1; },
      [](MonitoringAttrs& a) { a.sample_us = a.aggr_us + 1; },
      [](MonitoringAttrs& a) { a.aggr_us = 0; },
      [](MonitoringAttrs& a) {
        a.intervals_goal = {0, 3, 2, 1};
      },
      [](MonitoringAttrs& a) {
        a.intervals_goal = {0, 3, 1, 4999};
      },
      [](MonitoringAttrs& a) {
        a.intervals_goal = {0, 3, 5001, 9999};
      },
  };
  for (const auto& fault : faults) {
    files_.attrs = good;
    fault(files_.attrs);
    EXPECT_EQ(error(), EINVAL);
  }
  const std::vector<std::function<void(MonitoringAttrs&)>> fine = {
      [](MonitoringAttrs& a) { a.min_nr_regions = a.max_nr_regions = 3; },
      [](MonitoringAttrs& a) { a.sample_us = a.aggr_us; },
      [](MonitoringAttrs& a) { a.sample_us = a.aggr_us = 0; },
      [](MonitoringAttrs& a) { a.update_us = 0; },
      [](MonitoringAttrs& a) {
        a.intervals_goal = {0, 0, 2, 1};
      },
  };
  for (const auto& change : fine) {
    files_.attrs = good;
    change(files_.attrs);
    EXPECT_EQ(error(), 0);
  }
}

TEST_F(ContextBuilder, UnavailableOperationsAreTheFirstFault) {
  fake_.make_unavailable(OpsId::fvaddr);
  files_.operations = OpsId::fvaddr;
  files_.schemes.add()->filters.add()->type = FilterType::memcg;  // by itself ENOMEM
  EXPECT_EQ(error(), EINVAL);
}

TEST_F(ContextBuilder, ACommitMakesOnlyOperationsThatAreOther) {
  EXPECT_EQ(build_context(files_, fake_.machine(), OpsId::vaddr).value()->operations, nullptr);
  EXPECT_NE(build_context(files_, fake_.machine(), OpsId::paddr).value()->operations, nullptr);
}

TEST_F(ContextBuilder, ProcessesMustExist) {
  fake_.dead_pids = {7};
  for (const int pid : {0, -1, 7}) {
    name_process(files_.targets[0], pid, 1, machine_);
    EXPECT_EQ(error(), EINVAL) << pid;
    EXPECT_EQ(files_.targets[0].pid, pid) << "it shows what was written";
  }
  files_.targets.clear();
  files_.targets.add();
  EXPECT_EQ(error(), EINVAL) << "never written";
  files_.targets.clear();
  EXPECT_EQ(error(), 0);
}

TEST_F(ContextBuilder, ProcessesAreThoseThatWereWritten) {
  const TargetHandle* named = files_.targets[0].process.handle.get();
  EXPECT_EQ(built()->targets.front().handle.get(), named);
  fake_.dead_pids = {42};
  EXPECT_EQ(error(), EINVAL) << "it has ended since";
  // One that was nobody's number when it was written stays so.
  name_process(files_.targets[0], 42, 1, machine_);
  fake_.dead_pids = {};
  EXPECT_EQ(error(), EINVAL);
  name_process(files_.targets[0], 42, 1, machine_);
  EXPECT_EQ(error(), 0);
}

TEST_F(ContextBuilder, PhysicalMemoryIsOneTargetWithoutProcess) {
  files_.operations = OpsId::paddr;
  name_process(files_.targets[0], -1, 1, machine_);
  EXPECT_EQ(built()->targets.front().handle, nullptr);
  files_.targets.add();
  EXPECT_EQ(error(), EINVAL);
}

TEST_F(ContextBuilder, RegionsAreRoundedOutwards) {
  EXPECT_EQ(built_of({{0x1000, 0x2000}, {0x2000, 0x3000}}),
            (Ranges{{0x1000, 0x2000}, {0x2000, 0x3000}}));
  EXPECT_EQ(built_of({{0x1001, 0x2001}}), (Ranges{{0x1000, 0x3000}}));
  EXPECT_EQ(built_of({{0x1001, 0x1001}}), (Ranges{{0x1000, 0x2000}}));
  EXPECT_EQ(built_of({{0x1fff, 0x1001}}), (Ranges{{0x1000, 0x2000}}));
}

TEST_F(ContextBuilder, RegionsAscendAndAreNotEmpty) {
  EXPECT_EQ(error_of({{0x1000, 0x1000}}), EINVAL);
  EXPECT_EQ(error_of({{0, 0}}), EINVAL);
  EXPECT_EQ(error_of({{0x3000, 0x1000}}), EINVAL);
  EXPECT_EQ(error_of({{0x3000, 0x4000}, {0x1000, 0x2000}}), EINVAL);
  EXPECT_EQ(error_of({{0x1000, 0x3000}, {0x2000, 0x4000}}), EINVAL);
  EXPECT_EQ(error_of({{0x1000, 0x1100}, {0x1200, 0x1300}}), EINVAL);  // one page
  EXPECT_EQ(error_of({{0x1000, UINT64_MAX}}), EINVAL);                // its end rounds up to 0
}

TEST_F(ContextBuilder, UnitsOfAddressCountForPhysicalMemoryOnly) {
  files_.addr_unit = 16;
  EXPECT_EQ(built()->min_region_sz, 4096u);
  files_.operations = OpsId::paddr;
  EXPECT_EQ(built()->min_region_sz, 256u);
  EXPECT_EQ(built_of({{1, 257}}), (Ranges{{0, 512}}));
  files_.targets[0].regions.clear();
  for (const uint64_t unit : {4096, 5000, 2049}) {
    files_.addr_unit = unit;
    EXPECT_EQ(built()->min_region_sz, 1u) << unit;
  }
  for (const uint64_t unit : {3, 700}) {
    files_.addr_unit = unit;
    EXPECT_EQ(error(), EINVAL) << unit;
  }
}

TEST_F(ContextBuilder, FaultsOfSchemesAreEnomem) {
  SysfsScheme& scheme = *files_.schemes.add();
  Filter& filter = *scheme.filters.add();
  filter.type = FilterType::memcg;
  EXPECT_EQ(error(), ENOMEM);
  filter.memcg_path = "/known\n";
  EXPECT_EQ(error(), 0);
  filter.type = FilterType::addr;
  filter.addr = {2, 1};
  EXPECT_EQ(error(), ENOMEM);
  filter.addr = {2, 2};
  EXPECT_EQ(error(), 0);
  filter.type = FilterType::hugepage_size;
  filter.min_sz = 1;
  EXPECT_EQ(error(), ENOMEM);
  filter.max_sz = 1;
  EXPECT_EQ(error(), 0);
  QuotaGoal& goal = *scheme.quota.goals.add();
  goal.metric = GoalMetric::node_memcg_used_bp;
  EXPECT_EQ(error(), 0);  // target_value 0: it does not count
  goal.target_value = 1;
  EXPECT_EQ(error(), ENOMEM);
  goal.path = "/known";
  EXPECT_EQ(error(), 0);
}

TEST_F(ContextBuilder, FiltersGoToTheListOfTheirKind) {
  SysfsScheme& scheme = *files_.schemes.add();
  scheme.filters.add()->type = FilterType::target;
  scheme.filters.add()->type = FilterType::anon;
  scheme.core_filters.add()->type = FilterType::addr;
  scheme.ops_filters.add()->type = FilterType::young;
  const auto context = built();
  const Filters& filters = context->schemes.front().params.filters;
  ASSERT_EQ(filters.core.size(), 2u);
  EXPECT_EQ(filters.core[0].type, FilterType::addr);
  EXPECT_EQ(filters.core[1].type, FilterType::target);
  ASSERT_EQ(filters.ops.size(), 2u);
  EXPECT_EQ(filters.ops[0].type, FilterType::young);
  EXPECT_EQ(filters.ops[1].type, FilterType::anon);
}

TEST_F(ContextBuilder, GoalsOfZeroDoNotCount) {
  SysfsQuotas& quota = files_.schemes.add()->quota;
  quota.goals.add();
  for (const auto metric : {GoalMetric::user_input, GoalMetric::active_mem_bp}) {
    QuotaGoal& goal = *quota.goals.add();
    goal.metric = metric;
    goal.target_value = 5;
    goal.current_value = 3;
  }
  const auto context = built();
  const auto& goals = context->schemes.front().quota.params.goals;
  ASSERT_EQ(goals.size(), 2u);
  EXPECT_EQ(goals[0].current_value, 3u);
  EXPECT_EQ(goals[1].current_value, 0u);  // measured, not written
}

TEST_F(ContextBuilder, GoalsOfEligibleMemoryAreForPhysicalMemory) {
  QuotaGoal& goal = *files_.schemes.add()->quota.goals.add();
  goal.metric = GoalMetric::node_eligible_mem_bp;
  goal.target_value = 5;
  EXPECT_EQ(error(), EINVAL);
  files_.operations = OpsId::fvaddr;
  EXPECT_EQ(error(), EINVAL);
  files_.operations = OpsId::paddr;
  EXPECT_EQ(error(), 0);
}

TEST_F(ContextBuilder, ProbesAreChecked) {
  SysfsProbe& probe = *files_.probes.add();
  ProbeFilter& filter = *probe.filters.add();
  filter.type = ProbeFilterType::memcg;
  EXPECT_EQ(error(), EINVAL);
  filter.path = "/known";
  EXPECT_EQ(error(), 0);
  filter.type = ProbeFilterType::hugepage_size;
  filter.min_sz = 1;
  EXPECT_EQ(error(), EINVAL);
  filter.max_sz = 1;
  EXPECT_EQ(error(), 0);
  probe.weight = UINT32_MAX / 20;
  EXPECT_EQ(error(), 0);
  probe.weight = UINT32_MAX / 20 + 1;
  EXPECT_EQ(error(), EINVAL);
  probe.weight = 1;
  files_.attrs.aggr_us = 256 * files_.attrs.sample_us;
  EXPECT_EQ(error(), EINVAL);
}

TEST_F(ContextBuilder, ProbesAreAsTheFilesSay) {
  SysfsProbe& probe = *files_.probes.add();
  probe.weight = 7;
  probe.preps.add();
  ProbeFilter& memcg = *probe.filters.add();
  memcg.type = ProbeFilterType::memcg;
  memcg.path = "/known\n";
  memcg.matching = true;
  probe.filters.add()->type = ProbeFilterType::pgidle_set;
  files_.probes.add();
  const auto context = built();
  ASSERT_EQ(context->probes.size(), 2U);
  const Probe& first = context->probes[0];
  EXPECT_EQ(first.weight, 7);
  EXPECT_THAT(first.preps, testing::ElementsAre(PrepAction::set_pgidle));
  ASSERT_EQ(first.filters.size(), 2U);
  EXPECT_EQ(first.filters[0].path, "/known");
  EXPECT_TRUE(first.filters[0].matching);
  EXPECT_EQ(first.filters[1].type, ProbeFilterType::pgidle_set);
  EXPECT_EQ(context->probes[1], Probe{});
}

TEST_F(ContextBuilder, SampleFiltersMustChangeNothingThatIsSeen) {
  SysfsSampleFilter& filter = *files_.sample.filters.add();
  filter.matching = true;
  EXPECT_EQ(error(), EINVAL) << "no write passes";
  filter.allow = true;
  EXPECT_EQ(error(), EINVAL) << "writes only";
  machine_.sees_writes_only = true;
  EXPECT_EQ(error(), 0);
  filter.matching = false;
  EXPECT_EQ(error(), EINVAL) << "reads only";
  files_.sample.filters.add()->matching = false;
  files_.sample.filters[1].allow = false;
  machine_.sees_writes_only = false;
  EXPECT_EQ(error(), 0) << "reads by the first, writes as the last does not say";
}

TEST_F(ContextBuilder, NothingIsObsoleteAtTheStart) {
  EXPECT_TRUE(check_none_obsolete(files_));
  files_.targets[0].obsolete = true;
  EXPECT_EQ(check_none_obsolete(files_).error().code, EINVAL);
  EXPECT_TRUE(built()->targets.front().obsolete);
}

TEST(Numbered, CopiesHaveValuesOfTheirOwn) {
  SysfsContext files;
  files.targets.add()->pid = 1;
  SysfsContext copy = files;
  files.targets[0].pid = 2;
  EXPECT_EQ(copy.targets[0].pid, 1);
  copy = files;
  EXPECT_EQ(copy.targets[0].pid, 2);
}

}  // namespace
}  // namespace damonfs
