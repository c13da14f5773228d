#include "fs/modules/module_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <thread>

#include "tests/unit/fs/damon/state_commands_fixture.h"
#include "tests/unit/fs/fake_machine.h"

namespace damonfs {
namespace {

using test::FakeTree;

const std::string kReclaim = "/module/damon_reclaim/parameters/";
const std::string kLruSort = "/module/damon_lru_sort/parameters/";
const std::string kStat = "/module/damon_stat/parameters/";

struct Parameter {
  std::string name;
  mode_t mode;
  std::string value;  // when new
};

class ModuleFilesTest : public testing::Test {
 protected:
  void expect_new(const std::string& directory, const std::vector<Parameter>& wanted) {
    std::vector<std::string> names;
    for (const Attribute& attribute : tree_.attributes(directory)) {
      names.emplace_back(attribute.name);
    }
    std::vector<std::string> wanted_names;
    for (const Parameter& parameter : wanted) wanted_names.push_back(parameter.name);
    EXPECT_THAT(names, testing::UnorderedElementsAreArray(wanted_names));
    for (const Parameter& parameter : wanted) {
      const std::string path = directory + parameter.name;
      EXPECT_EQ(parameter.value + "\n", tree_.read(path)) << path;
      for (const Attribute& attribute : tree_.attributes(directory)) {
        if (attribute.name != parameter.name) continue;
        EXPECT_EQ(parameter.mode, attribute.mode) << path;
      }
    }
  }
  uint64_t number(const std::string& path) { return std::stoull(tree_.read(path)); }

  FakeTree tree_;
};

// --- What is there (../shared/abi/modules.tsv, and what newer kernels have)

TEST_F(ModuleFilesTest, ReclaimHasTheKernelsParameters) {
  expect_new(kReclaim, {{"enabled", 0600, "N"},
                        {"commit_inputs", 0600, "N"},
                        {"min_age", 0600, "120000000"},
                        {"quota_ms", 0600, "10"},
                        {"quota_sz", 0600, "134217728"},
                        {"quota_reset_interval_ms", 0600, "1000"},
                        {"quota_mem_pressure_us", 0600, "0"},
                        {"quota_autotune_feedback", 0600, "0"},
                        {"wmarks_interval", 0600, "5000000"},
                        {"wmarks_high", 0600, "500"},
                        {"wmarks_mid", 0600, "400"},
                        {"wmarks_low", 0600, "200"},
                        {"sample_interval", 0600, "5000"},
                        {"aggr_interval", 0600, "100000"},
                        {"autotune_monitoring_intervals", 0600, "N"},
                        {"min_nr_regions", 0600, "10"},
                        {"max_nr_regions", 0600, "1000"},
                        {"monitor_region_start", 0600, "0"},
                        {"monitor_region_end", 0600, "0"},
                        {"addr_unit", 0600, "1"},
                        {"skip_anon", 0600, "N"},
                        {"kdamond_pid", 0400, "-1"},
                        {"nr_reclaim_tried_regions", 0400, "0"},
                        {"bytes_reclaim_tried_regions", 0400, "0"},
                        {"nr_reclaimed_regions", 0400, "0"},
                        {"bytes_reclaimed_regions", 0400, "0"},
                        {"nr_quota_exceeds", 0400, "0"}});
}

TEST_F(ModuleFilesTest, LruSortHasTheKernelsParameters) {
  expect_new(kLruSort, {{"enabled", 0600, "N"},
                        {"commit_inputs", 0600, "N"},
                        {"active_mem_bp", 0600, "0"},
                        {"autotune_monitoring_intervals", 0600, "N"},
                        {"filter_young_pages", 0600, "N"},
                        {"hot_thres_access_freq", 0600, "500"},
                        {"cold_min_age", 0600, "120000000"},
                        {"quota_ms", 0600, "10"},
                        {"quota_reset_interval_ms", 0600, "1000"},
                        {"wmarks_interval", 0600, "5000000"},
                        {"wmarks_high", 0600, "200"},
                        {"wmarks_mid", 0600, "150"},
                        {"wmarks_low", 0600, "50"},
                        {"sample_interval", 0600, "5000"},
                        {"aggr_interval", 0600, "100000"},
                        {"min_nr_regions", 0600, "10"},
                        {"max_nr_regions", 0600, "1000"},
                        {"monitor_region_start", 0600, "0"},
                        {"monitor_region_end", 0600, "0"},
                        {"addr_unit", 0600, "1"},
                        {"kdamond_pid", 0400, "-1"},
                        {"nr_lru_sort_tried_hot_regions", 0400, "0"},
                        {"bytes_lru_sort_tried_hot_regions", 0400, "0"},
                        {"nr_lru_sorted_hot_regions", 0400, "0"},
                        {"bytes_lru_sorted_hot_regions", 0400, "0"},
                        {"nr_hot_quota_exceeds", 0400, "0"},
                        {"nr_lru_sort_tried_cold_regions", 0400, "0"},
                        {"bytes_lru_sort_tried_cold_regions", 0400, "0"},
                        {"nr_lru_sorted_cold_regions", 0400, "0"},
                        {"bytes_lru_sorted_cold_regions", 0400, "0"},
                        {"nr_cold_quota_exceeds", 0400, "0"}});
}

TEST_F(ModuleFilesTest, StatHasTheKernelsParameters) {
  std::string zeros = "0";
  for (int i = 0; i < 100; ++i) zeros += ",0";
  expect_new(kStat, {{"enabled", 0600, "N"},
                     {"kdamond_pid", 0400, "-1"},
                     {"aggr_interval_us", 0400, "0"},
                     {"estimated_memory_bandwidth", 0400, "0"},
                     {"memory_idle_ms_percentiles", 0400, zeros}});
}

// --- How values are written

TEST_F(ModuleFilesTest, BooleansAreTheKernels) {
  const std::map<std::string, std::string> wanted = {
      {"y", "Y\n"}, {"Y", "Y\n"},   {"1\n", "Y\n"}, {"on", "Y\n"},  {"true", "Y\n"},
      {"n", "N\n"}, {"N\n", "N\n"}, {"0", "N\n"},   {"off", "N\n"}, {"false", "N\n"}};
  for (const auto& [text, shown] : wanted) {
    for (const auto* before : {"Y", "N"}) {
      ASSERT_EQ(0, tree_.write(kReclaim + "skip_anon", before));
      EXPECT_EQ(0, tree_.write(kReclaim + "skip_anon", text)) << text;
      EXPECT_EQ(shown, tree_.read(kReclaim + "skip_anon")) << text;
    }
  }
  for (const auto* name : {"skip_anon", "enabled", "commit_inputs"}) {
    EXPECT_EQ(EINVAL, tree_.write(kReclaim + name, "perhaps")) << name;
    EXPECT_EQ(EINVAL, tree_.write(kReclaim + name, "")) << name;
  }
}

TEST_F(ModuleFilesTest, NumbersAreTheKernels) {
  const std::string path = kLruSort + "wmarks_high";
  for (const auto& [text, shown] :
       std::map<std::string, std::string>{{"0x10", "16\n"},
                                          {"010\n", "8\n"},
                                          {"18446744073709551615", "18446744073709551615\n"}}) {
    EXPECT_EQ(0, tree_.write(path, text));
    EXPECT_EQ(shown, tree_.read(path));
  }
  EXPECT_EQ(EINVAL, tree_.write(path, "-1"));
  EXPECT_EQ(EINVAL, tree_.write(path, "1 "));
  EXPECT_EQ(ERANGE, tree_.write(path, "18446744073709551616"));
  EXPECT_EQ("18446744073709551615\n", tree_.read(path));
}

// --- Switching on and off

TEST_F(ModuleFilesTest, EnabledRunsAndEnds) {
  for (const std::string& module : {kReclaim, kLruSort, kStat}) {
    ASSERT_EQ(0, tree_.write(module + "enabled", "Y\n")) << module;
    EXPECT_EQ("Y\n", tree_.read(module + "enabled"));
    EXPECT_GT(std::stoi(tree_.read(module + "kdamond_pid")), 0);
    EXPECT_EQ(0, tree_.write(module + "enabled", "1")) << "nothing new";
    ASSERT_EQ(0, tree_.write(module + "enabled", "N\n"));
    EXPECT_EQ("N\n", tree_.read(module + "enabled"));
    EXPECT_EQ("-1\n", tree_.read(module + "kdamond_pid"));
    EXPECT_EQ(0, tree_.write(module + "enabled", "N"));
  }
}

TEST_F(ModuleFilesTest, TheDefaultRegionIsShownOnceItIsWatched) {
  for (const std::string& module : {kReclaim, kLruSort}) {
    EXPECT_EQ(EINVAL, tree_.write(module + "addr_unit", "0"));
    EXPECT_EQ("1\n", tree_.read(module + "addr_unit"));
    ASSERT_EQ(0, tree_.write(module + "addr_unit", "16"));
    ASSERT_EQ(0, tree_.write(module + "enabled", "Y"));
    EXPECT_EQ(0x100U, number(module + "monitor_region_start"));
    EXPECT_EQ(0x4100U, number(module + "monitor_region_end"));
    ASSERT_EQ(0, tree_.write(module + "enabled", "N"));
    EXPECT_EQ(0x4100U, number(module + "monitor_region_end"));
  }
}

TEST_F(ModuleFilesTest, WhatCannotStartStaysOff) {
  ASSERT_EQ(0, tree_.write(kReclaim + "min_nr_regions", "2"));
  EXPECT_EQ(EINVAL, tree_.write(kReclaim + "enabled", "Y"));
  EXPECT_EQ("N\n", tree_.read(kReclaim + "enabled"));
  EXPECT_EQ(0U, number(kReclaim + "monitor_region_end")) << "nothing changes";
  tree_.make_unavailable(OpsId::paddr);
  EXPECT_EQ(EINVAL, tree_.write(kStat + "enabled", "Y"));
  EXPECT_EQ("-1\n", tree_.read(kStat + "kdamond_pid"));
}

TEST_F(ModuleFilesTest, NothingElseRunsBesideAModule) {
  ASSERT_EQ(0, tree_.write("kdamonds/nr_kdamonds", "1"));
  ASSERT_EQ(0, tree_.write("kdamonds/0/contexts/nr_contexts", "1"));
  ASSERT_EQ(0, tree_.write("kdamonds/0/contexts/0/targets/nr_targets", "1"));
  ASSERT_EQ(0, tree_.write("kdamonds/0/contexts/0/targets/0/pid_target", "42"));
  ASSERT_EQ(0, tree_.write(kReclaim + "enabled", "Y"));
  EXPECT_EQ(EBUSY, tree_.write(kLruSort + "enabled", "Y"));
  EXPECT_EQ(EBUSY, tree_.write(kStat + "enabled", "Y"));
  EXPECT_EQ(EBUSY, tree_.write("kdamonds/0/state", "on"));
  EXPECT_EQ("off\n", tree_.read("kdamonds/0/state"));
  ASSERT_EQ(0, tree_.write(kReclaim + "enabled", "N"));
  ASSERT_EQ(0, tree_.write("kdamonds/0/state", "on"));
  EXPECT_EQ(EBUSY, tree_.write(kReclaim + "enabled", "Y"));
  EXPECT_EQ("N\n", tree_.read(kReclaim + "enabled"));
}

// --- Reports and commits

TEST_F(ModuleFilesTest, StatisticsComeByThemselvesAndStay) {
  // The fake machine's memory is never accessed, and schemes always active.
  ASSERT_EQ(0, tree_.write(kReclaim + "min_age", "0"));
  ASSERT_EQ(0, tree_.write(kReclaim + "enabled", "Y"));
  EXPECT_TRUE(eventually([&] { return number(kReclaim + "nr_reclaimed_regions") > 0; }));
  ASSERT_EQ(0, tree_.write(kReclaim + "enabled", "N"));
  const uint64_t tried = number(kReclaim + "bytes_reclaim_tried_regions");
  EXPECT_GE(tried, 0x40000U);
  EXPECT_EQ(tried, number(kReclaim + "bytes_reclaimed_regions"));
  EXPECT_EQ(number(kReclaim + "nr_reclaim_tried_regions"),
            number(kReclaim + "nr_reclaimed_regions"));
}

TEST_F(ModuleFilesTest, StatReportsEveryFiveSeconds) {
  ASSERT_EQ(0, tree_.write(kStat + "enabled", "Y"));
  EXPECT_TRUE(eventually([&] { return number(kStat + "aggr_interval_us") >= 100000; }));
  EXPECT_NE('0', tree_.read(kStat + "memory_idle_ms_percentiles")[0]);
  EXPECT_EQ(0U, number(kStat + "estimated_memory_bandwidth"));
}

TEST_F(ModuleFilesTest, CommitInputsReadsParametersAgain) {
  EXPECT_EQ(EINVAL, tree_.write(kReclaim + "commit_inputs", "Y")) << "it was never on";
  EXPECT_EQ(0, tree_.write(kReclaim + "commit_inputs", "N"));
  ASSERT_EQ(0, tree_.write(kReclaim + "min_age", "3600000000000"));
  ASSERT_EQ(0, tree_.write(kReclaim + "enabled", "Y"));
  ASSERT_EQ(0, tree_.write(kReclaim + "min_age", "0"));
  EXPECT_EQ(0, tree_.write(kReclaim + "commit_inputs", "N"));
  EXPECT_EQ(0U, number(kReclaim + "nr_reclaim_tried_regions")) << "of age in a thousand hours";
  ASSERT_EQ(0, tree_.write(kReclaim + "commit_inputs", "Y"));
  EXPECT_EQ("N\n", tree_.read(kReclaim + "commit_inputs"));
  EXPECT_TRUE(eventually([&] { return number(kReclaim + "nr_reclaim_tried_regions") > 0; }));
}

TEST_F(ModuleFilesTest, AWrongCommitChangesNothing) {
  ASSERT_EQ(0, tree_.write(kReclaim + "min_age", "0"));
  ASSERT_EQ(0, tree_.write(kReclaim + "enabled", "Y"));
  const std::string pid = tree_.read(kReclaim + "kdamond_pid");
  ASSERT_EQ(0, tree_.write(kReclaim + "monitor_region_start", "0x50000"));
  EXPECT_EQ(EINVAL, tree_.write(kReclaim + "commit_inputs", "Y"));
  EXPECT_EQ("Y\n", tree_.read(kReclaim + "enabled"));
  EXPECT_EQ(pid, tree_.read(kReclaim + "kdamond_pid"));
  const uint64_t tried = number(kReclaim + "nr_reclaim_tried_regions");
  EXPECT_TRUE(eventually([&] { return number(kReclaim + "nr_reclaim_tried_regions") > tried; }));
}

}  // namespace
}  // namespace damonfs
