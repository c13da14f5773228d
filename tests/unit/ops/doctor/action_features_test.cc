#include "ops/doctor/action_features.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>

#include "tests/unit/ops/temp_tree.h"

namespace damonfs {
namespace {

using testing::HasSubstr;

// Debian's kernel as root, on a machine with swap and one node.
ActionFacts debian() {
  ActionFacts facts;
  facts.kernel = "6.1.0";
  facts.takes_willneed = facts.takes_cold = facts.takes_pageout = facts.takes_collapse = true;
  facts.has_swap = true;
  facts.capabilities.bits = UINT64_MAX;
  return facts;
}

ActionReport report(const ActionFacts& facts, const std::string& name) {
  for (const ActionReport& one : judge_actions(facts))
    if (one.names.find(name) != std::string::npos) return one;
  ADD_FAILURE() << "no report on " << name;
  return {};
}

TEST(ActionFeaturesTest, WhatTheKernelTakesWorks) {
  for (const char* name : {"stat", "willneed", "cold", "pageout", "collapse"})
    EXPECT_TRUE(report(debian(), name).works) << name;
  for (const char* name : {"nohugepage", "lru_prio", "lru_deprio", "migrate_hot", "migrate_cold"})
    EXPECT_FALSE(report(debian(), name).works) << name;
}

TEST(ActionFeaturesTest, HugepageIsDoneAsCollapse) {
  ActionFacts facts = debian();
  EXPECT_TRUE(report(facts, "hugepage").works);
  EXPECT_THAT(report(facts, "hugepage").how, HasSubstr("collapse"));
  facts.takes_collapse = false;
  EXPECT_FALSE(report(facts, "hugepage").works);
  EXPECT_FALSE(report(facts, "collapse").works);
  EXPECT_THAT(report(facts, "collapse").how, HasSubstr("6.1.0"));
}

TEST(ActionFeaturesTest, WithoutSwapOnlyFilesArePagedOut) {
  ActionFacts facts = debian();
  facts.has_swap = false;
  EXPECT_TRUE(report(facts, "pageout").works);
  EXPECT_THAT(report(facts, "pageout").how, HasSubstr("of files only"));
}

TEST(ActionFeaturesTest, AdviceToOthersTakesACapability) {
  ActionFacts facts = debian();
  facts.nr_nodes = 2;
  facts.capabilities.bits = ~(uint64_t{1} << CAP_SYS_NICE);
  for (const char* name : {"willneed", "cold", "pageout", "collapse", "migrate_hot"}) {
    EXPECT_FALSE(report(facts, name).works) << name;
    EXPECT_THAT(report(facts, name).how, HasSubstr("CAP_SYS_NICE")) << name;
  }
}

TEST(ActionFeaturesTest, SeveralNodesCanBeMigratedBetween) {
  ActionFacts facts = debian();
  facts.nr_nodes = 2;
  EXPECT_TRUE(report(facts, "migrate_cold").works);
  EXPECT_THAT(report(facts, "migrate_cold").how, HasSubstr("2 nodes"));
}

TEST(ActionFeaturesTest, FactsComeFromTheMachinesFiles) {
  const TempTree tree;
  tree.write("proc/swaps", "Filename Type\n/dev/zram0 partition\n");
  tree.write("sys/devices/system/node/node0/x", "");
  tree.write("sys/devices/system/node/node1/x", "");
  tree.write("sys/devices/system/node/possible", "0-1\n");
  const ActionFacts facts = find_action_facts(tree.paths());
  EXPECT_TRUE(facts.has_swap);
  EXPECT_EQ(facts.nr_nodes, 2U);
  tree.write("proc/swaps", "Filename Type\n");
  EXPECT_FALSE(find_action_facts(tree.paths()).has_swap);
}

TEST(ActionFeaturesTest, EveryKernelOfOursTakesTheOldAdvice) {
  const ActionFacts facts = find_action_facts(Paths{});
  EXPECT_TRUE(facts.takes_cold);
  EXPECT_TRUE(facts.takes_pageout);
}

}  // namespace
}  // namespace damonfs
