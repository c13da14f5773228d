// A fake tree with one kdamond to be commanded, for tests of the file `state`.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/fs/fake_machine.h"

namespace damonfs::test {

inline const std::string kState = "kdamonds/0/state";
inline const std::string kContext = "kdamonds/0/contexts/0/";
inline const std::string kScheme = kContext + "schemes/0/";

inline const std::vector<std::string> kCallCommands = {
    "commit", "commit_schemes_quota_goals", "update_schemes_stats",
    "update_schemes_effective_quotas", "update_tuned_intervals"};
inline const std::vector<std::string> kWalkCommands = {"update_schemes_tried_bytes",
                                                       "update_schemes_tried_regions"};

// One kdamond for one process, with a scheme that applies to everything.
class StateTest : public testing::Test {
 protected:
  void SetUp() override {
    set("kdamonds/nr_kdamonds", "1");
    set("kdamonds/0/contexts/nr_contexts", "1");
    configure();
  }
  void TearDown() override { tree_.script.hold_checks = false; }

  void configure() {
    set(kContext + "targets/nr_targets", "1");
    set(kContext + "targets/0/pid_target", "42");
    set(kContext + "monitoring_attrs/nr_regions/min", "3");
    set(kContext + "schemes/nr_schemes", "1");
    set(kScheme + "access_pattern/sz/max", "0xffffffffffffffff");
    set(kScheme + "access_pattern/nr_accesses/max", "0xffffffff");
    set(kScheme + "access_pattern/age/max", "0xffffffff");
  }
  void set(const std::string& path, const std::string& text) {
    ASSERT_EQ(tree_.write(path, text), 0) << path;
  }
  int command(const std::string& word) { return tree_.write(kState, word); }
  void turn_on() { ASSERT_EQ(command("on"), 0); }
  void let_it_end() {
    tree_.script.targets_valid = false;
    ASSERT_TRUE(eventually([&] { return tree_.read(kState) == "off\n"; }));
    tree_.script.targets_valid = true;
  }
  uint64_t number(const std::string& path) { return std::stoull(tree_.read(path)); }

  FakeTree tree_;
};

}  // namespace damonfs::test
