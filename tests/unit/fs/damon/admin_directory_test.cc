// Every file of the DAMON tree: its place, mode and default, what it takes and refuses, and how
// long it lives.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <tuple>
#include <vector>

#include "fs/damon/pinned_targets.h"
#include "tests/unit/fs/damon/state_commands_fixture.h"

namespace damonfs {
namespace {

using test::FakeTree;
using test::kContext;
using test::kScheme;
using namespace std::string_literals;
using namespace std::string_view_literals;

// Makes one of everything that has a number.
void make_one_of_all(FakeTree& tree) {
  const std::vector<std::string> counts = {
      "kdamonds/nr_kdamonds",
      "kdamonds/0/contexts/nr_contexts",
      kContext + "monitoring_attrs/probes/nr_probes",
      kContext + "monitoring_attrs/probes/0/preps/nr_preps",
      kContext + "monitoring_attrs/probes/0/filters/nr_filters",
      kContext + "monitoring_attrs/sample/filters/nr_filters",
      kContext + "targets/nr_targets",
      kContext + "targets/0/regions/nr_regions",
      kContext + "schemes/nr_schemes",
      kScheme + "dests/nr_dests",
      kScheme + "quotas/goals/nr_goals",
      kScheme + "filters/nr_filters",
      kScheme + "core_filters/nr_filters",
      kScheme + "ops_filters/nr_filters",
  };
  for (const auto& path : counts) ASSERT_EQ(tree.write(path, "1"), 0) << path;
}

class DamonTree : public testing::Test {
 protected:
  void SetUp() override { make_one_of_all(tree_); }
  // Has the kdamond report what a scheme has tried, which is everything: the operations find the
  // one region.
  void try_regions() {
    const std::vector<std::pair<std::string, std::string>> settings = {
        {kScheme + "access_pattern/sz/max", "0xffffffffffffffff"},
        {kScheme + "access_pattern/age/max", "1000"},
        {kContext + "targets/0/pid_target", "1"},
        {kContext + "targets/0/regions/nr_regions", "0"},
        {kScheme + "filters/nr_filters", "0"},
        {kScheme + "core_filters/nr_filters", "0"},
        {kScheme + "ops_filters/nr_filters", "0"},
        {kContext + "monitoring_attrs/sample/filters/nr_filters", "0"},
        {"kdamonds/0/state", "on"},
        {"kdamonds/0/state", "update_schemes_tried_regions"},
        {"kdamonds/0/state", "off"}};
    for (const auto& [path, text] : settings) ASSERT_EQ(tree_.write(path, text), 0) << path;
  }
  FakeTree tree_;
};

struct TableRow {
  mode_t mode;
  std::string content;  // "-": depends
};

std::string unquoted(const std::string& text) {
  if (text == "-") return text;
  std::string plain = text.substr(1, text.size() - 2);
  return std::regex_replace(plain, std::regex(R"(\\n)"), "\n");
}

// tree.tsv, by path with <N> for numbers.
std::map<std::string, TableRow> read_table() {
  std::map<std::string, TableRow> table;
  std::ifstream file(DAMONFS_SOURCE "/tests/unit/fs/damon/tree.tsv");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with('#')) continue;
    std::istringstream fields(line);
    std::string path;
    std::string mode;
    std::string content;
    std::getline(fields, path, '\t');
    std::getline(fields, mode, '\t');
    std::getline(fields, content, '\t');
    table[path] = {static_cast<mode_t>(std::stoul(mode, nullptr, 8)), unquoted(content)};
  }
  return table;
}

TEST_F(DamonTree, HasExactlyTheFilesOfTheTable) {
  try_regions();
  ASSERT_EQ(tree_.write(kContext + "monitoring_attrs/sample/filters/nr_filters", "1"), 0);
  for (const char* name : {"filters", "core_filters", "ops_filters"}) {
    ASSERT_EQ(tree_.write(kScheme + name + "/nr_filters", "1"), 0);
  }
  ASSERT_EQ(tree_.write(kContext + "targets/0/regions/nr_regions", "1"), 0);

  auto expected = read_table();
  ASSERT_EQ(expected.size(), 132u);
  std::map<std::string, mode_t> found;
  const std::regex number("/[0-9]+/");
  for (const std::string& directory : tree_.directories()) {
    for (const Attribute& attribute : tree_.attributes(directory)) {
      std::string path = directory + std::string(attribute.name);
      path = std::regex_replace(std::regex_replace(path, number, "/<N>/"), number, "/<N>/");
      found[path] = attribute.mode;
    }
  }
  for (const auto& [path, mode] : found) EXPECT_TRUE(expected.contains(path)) << path;
  for (const auto& [path, row] : expected) {
    ASSERT_TRUE(found.contains(path)) << path;
    EXPECT_EQ(found[path], row.mode) << path;
  }
}

TEST_F(DamonTree, NewFilesReadAsTheTableSays) {
  const std::regex count(
      ".*/nr_(kdamonds|contexts|probes|preps|targets|regions|schemes|dests|goals|filters)");
  for (const auto& [pattern, row] : read_table()) {
    if (row.content == "-") continue;
    const std::string path = std::regex_replace(pattern, std::regex("<N>"), "0");
    EXPECT_EQ(tree_.read(path), std::regex_match(path, count) ? "1\n" : row.content) << path;
  }
}

TEST(DamonTreeCounts, ReadZeroWhenNew) {
  FakeTree tree;
  EXPECT_EQ(tree.read("kdamonds/nr_kdamonds"), "0\n");
  EXPECT_EQ(tree.write("kdamonds/nr_kdamonds", "1"), 0);
  EXPECT_EQ(tree.read("kdamonds/0/contexts/nr_contexts"), "0\n");
  EXPECT_EQ(tree.write("kdamonds/0/contexts/nr_contexts", "1"), 0);
  for (const char* path :
       {"targets/nr_targets", "schemes/nr_schemes", "monitoring_attrs/probes/nr_probes"}) {
    EXPECT_EQ(tree.read(kContext + path), "0\n") << path;
  }
}

TEST_F(DamonTree, ListsTheOperationsThatWorkHere) {
  EXPECT_EQ(tree_.read(kContext + "avail_operations"), "vaddr\nfvaddr\npaddr\n");
}

const std::vector<std::string>& ulong_files() {
  static const std::vector<std::string> files = {
      kContext + "addr_unit",
      kContext + "monitoring_attrs/intervals/sample_us",
      kContext + "monitoring_attrs/intervals/aggr_us",
      kContext + "monitoring_attrs/intervals/update_us",
      kContext + "monitoring_attrs/intervals/intervals_goal/access_bp",
      kContext + "monitoring_attrs/intervals/intervals_goal/aggrs",
      kContext + "monitoring_attrs/intervals/intervals_goal/min_sample_us",
      kContext + "monitoring_attrs/intervals/intervals_goal/max_sample_us",
      kContext + "monitoring_attrs/nr_regions/min",
      kContext + "monitoring_attrs/nr_regions/max",
      kContext + "targets/0/regions/0/start",
      kContext + "targets/0/regions/0/end",
      kScheme + "apply_interval_us",
      kScheme + "access_pattern/sz/min",
      kScheme + "access_pattern/sz/max",
      kScheme + "access_pattern/nr_accesses/min",
      kScheme + "access_pattern/nr_accesses/max",
      kScheme + "access_pattern/age/min",
      kScheme + "access_pattern/age/max",
      kScheme + "quotas/goals/0/target_value",
      kScheme + "quotas/goals/0/current_value",
      kScheme + "watermarks/interval_us",
      kScheme + "watermarks/high",
      kScheme + "watermarks/mid",
      kScheme + "watermarks/low",
      kScheme + "filters/0/addr_start",
      kScheme + "filters/0/addr_end",
      kScheme + "filters/0/min",
      kScheme + "filters/0/max",
      kContext + "monitoring_attrs/probes/0/filters/0/min",
      kContext + "monitoring_attrs/probes/0/filters/0/max",
      kScheme + "stats/max_nr_snapshots",
  };
  return files;
}

TEST_F(DamonTree, UlongFilesKeepTheOldValueOnError) {
  for (const auto& path : ulong_files()) {
    EXPECT_EQ(tree_.write(path, "0x1f\n"), 0) << path;
    EXPECT_EQ(tree_.read(path), "31\n") << path;
    EXPECT_EQ(tree_.write(path, "-1"), EINVAL) << path;
    EXPECT_EQ(tree_.write(path, "ten"), EINVAL) << path;
    EXPECT_EQ(tree_.write(path, "18446744073709551616"), ERANGE) << path;
    EXPECT_EQ(tree_.read(path), "31\n") << path;
    EXPECT_EQ(tree_.write(path, "18446744073709551615"), 0) << path;
    EXPECT_EQ(tree_.read(path), "18446744073709551615\n") << path;
  }
}

TEST_F(DamonTree, UintFiles) {
  for (const std::string& path :
       {"kdamonds/0/refresh_ms"s, kContext + "monitoring_attrs/probes/0/weight",
        kScheme + "dests/0/id", kScheme + "dests/0/weight", kScheme + "quotas/weights/sz_permil",
        kScheme + "quotas/weights/nr_accesses_permil", kScheme + "quotas/weights/age_permil"}) {
    EXPECT_EQ(tree_.write(path, "010"), 0) << path;
    EXPECT_EQ(tree_.read(path), "8\n") << path;
    EXPECT_EQ(tree_.write(path, "-1"), EINVAL) << path;
    EXPECT_EQ(tree_.write(path, "4294967296"), ERANGE) << path;
    EXPECT_EQ(tree_.read(path), "8\n") << path;
  }
}

TEST_F(DamonTree, IntFiles) {
  for (const std::string& path : {kScheme + "target_nid", kScheme + "quotas/goals/0/nid",
                                  kScheme + "filters/0/damon_target_idx"}) {
    EXPECT_EQ(tree_.write(path, "-7"), 0) << path;
    EXPECT_EQ(tree_.read(path), "-7\n") << path;
    EXPECT_EQ(tree_.write(path, "2147483648"), ERANGE) << path;
    EXPECT_EQ(tree_.write(path, ""), EINVAL) << path;
    EXPECT_EQ(tree_.read(path), "-7\n") << path;
  }
}

TEST_F(DamonTree, SomeFilesAnswerEinvalToWhatIsTooBig) {
  const std::string pid = kContext + "targets/0/pid_target";
  EXPECT_EQ(tree_.write(pid, "-5"), 0);
  EXPECT_EQ(tree_.write(pid, "2147483648"), EINVAL);
  EXPECT_EQ(tree_.read(pid), "-5\n");
  for (const char* name : {"ms", "bytes", "reset_interval_ms"}) {
    EXPECT_EQ(tree_.write(kScheme + "quotas/" + name, "18446744073709551616"), EINVAL) << name;
    EXPECT_EQ(tree_.write(kScheme + "quotas/" + name, "18446744073709551615"), 0) << name;
  }
  for (const char* name : {"fail_charge_num", "fail_charge_denom"}) {
    EXPECT_EQ(tree_.write(kScheme + "quotas/" + name, "4294967296"), EINVAL) << name;
    EXPECT_EQ(tree_.write(kScheme + "quotas/" + name, "4294967295"), 0) << name;
  }
}

TEST_F(DamonTree, AProcessIsLookedForWhereItsWriterIs) {
  const std::string pid = kContext + "targets/0/pid_target";
  EXPECT_EQ(tree_.write(pid, "5"), 0);
  EXPECT_EQ(tree_.last_writer, tree_.writer);
  tree_.writer = 0;
  EXPECT_EQ(tree_.write(pid, "6"), 0);
  EXPECT_EQ(tree_.last_writer, 0);
}

TEST_F(DamonTree, WhichProcessesTargetsHold) {
  const std::string file = "/damonfs/targets/processes";
  tree_.dead_pids = {8};
  EXPECT_EQ(tree_.snapshot(file), "") << "none was named";
  EXPECT_EQ(tree_.write(kContext + "targets/nr_targets", "300"), 0);
  for (int t = 1; t < 300; ++t) {
    ASSERT_EQ(tree_.write(kContext + "targets/" + std::to_string(t) + "/pid_target", "7"), 0);
  }
  EXPECT_EQ(tree_.write(kContext + "targets/0/pid_target", "8"), 0);
  const auto targets = parse_pinned_targets(tree_.snapshot(file));
  ASSERT_EQ(targets.size(), 300U) << "more than a page of them";
  EXPECT_EQ(targets.at(kContext + "targets/299").identity, "boot 7");
  EXPECT_EQ(targets.at(kContext + "targets/299").pid, 7);
  EXPECT_EQ(targets.at(kContext + "targets/0").identity, kNoProcess);
}

TEST_F(DamonTree, BoolFiles) {
  for (const std::string& path :
       {kContext + "pause", kContext + "targets/0/obsolete_target",
        kContext + "monitoring_attrs/probes/0/filters/0/matching",
        kContext + "monitoring_attrs/probes/0/filters/0/allow",
        kContext + "monitoring_attrs/sample/filters/0/matching",
        kContext + "monitoring_attrs/sample/filters/0/allow", kScheme + "quotas/goals/0/complement",
        kScheme + "filters/0/matching", kScheme + "core_filters/0/allow"}) {
    EXPECT_EQ(tree_.write(path, "yes\n"), 0) << path;
    EXPECT_EQ(tree_.read(path), "Y\n") << path;
    EXPECT_EQ(tree_.write(path, "2"), EINVAL) << path;
    EXPECT_EQ(tree_.read(path), "Y\n") << path;
    EXPECT_EQ(tree_.write(path, "off"), 0) << path;
    EXPECT_EQ(tree_.read(path), "N\n") << path;
  }
}

TEST_F(DamonTree, KeywordFilesTakeTheirWordsOnly) {
  const std::map<std::string, std::vector<std::string>> files = {
      {kContext + "operations", {"vaddr", "fvaddr", "paddr"}},
      {kContext + "monitoring_attrs/probes/0/filters/0/type",
       {"anon", "memcg", "hugepage_size", "pgidle_unset", "pgidle_set"}},
      {kContext + "monitoring_attrs/probes/0/preps/0/prep_action", {"set_pgidle"}},
      {kContext + "monitoring_attrs/sample/filters/0/type", {"write"}},
      {kScheme + "action",
       {"willneed", "cold", "pageout", "hugepage", "nohugepage", "collapse", "lru_prio",
        "lru_deprio", "migrate_hot", "migrate_cold", "stat"}},
      {kScheme + "quotas/goal_tuner", {"consist", "temporal"}},
      {kScheme + "quotas/goals/0/target_metric",
       {"user_input", "some_mem_psi_us", "node_mem_used_bp", "node_mem_free_bp",
        "node_memcg_used_bp", "node_memcg_free_bp", "active_mem_bp", "inactive_mem_bp",
        "node_eligible_mem_bp", "hugepage_mem_bp"}},
      {kScheme + "watermarks/metric", {"none", "free_mem_rate"}},
      {kScheme + "filters/0/type",
       {"anon", "active", "memcg", "young", "hugepage_size", "unmapped", "addr", "target",
        "probe_hits_wsum"}},
      {kScheme + "core_filters/0/type", {"addr", "target", "probe_hits_wsum"}},
      {kScheme + "ops_filters/0/type",
       {"anon", "active", "memcg", "young", "hugepage_size", "unmapped"}},
  };
  for (const auto& [path, words] : files) {
    for (const auto& word : words) {
      EXPECT_EQ(tree_.write(path, word + "\n"), 0) << path;
      EXPECT_EQ(tree_.read(path), word + "\n") << path;
    }
    for (const auto& word : {""s, "nonsense"s, words.back() + " ", words.back() + "\n\n"}) {
      EXPECT_EQ(tree_.write(path, word), EINVAL) << path;
    }
    EXPECT_EQ(tree_.read(path), words.back() + "\n") << path;
  }
  EXPECT_EQ(tree_.write(kScheme + "core_filters/0/type", "anon"), EINVAL);
  EXPECT_EQ(tree_.write(kScheme + "ops_filters/0/type", "addr"), EINVAL);
}

TEST_F(DamonTree, AvailFilesListWhatTheFileBesideThemTakes) {
  const std::pair<std::string, std::string> files[] = {
      {kScheme + "filters/0/avail_types", "type"},
      {kScheme + "core_filters/0/avail_types", "type"},
      {kScheme + "ops_filters/0/avail_types", "type"},
      {kContext + "monitoring_attrs/probes/0/filters/0/avail_types", "type"},
      {kContext + "monitoring_attrs/probes/0/preps/0/avail_prep_actions", "prep_action"},
  };
  for (const auto& [path, name] : files) {
    std::istringstream words(tree_.read(path));
    size_t nr_words = 0;
    for (std::string word; std::getline(words, word); ++nr_words) {
      const std::string beside = path.substr(0, path.rfind('/') + 1) + name;
      EXPECT_EQ(tree_.write(beside, word), 0) << beside << ": " << word;
    }
    EXPECT_GT(nr_words, 0U) << path;
  }
}

TEST_F(DamonTree, TextFilesGiveBackWhatCameAndANewline) {
  for (const std::string& path : {kScheme + "filters/0/memcg_path", kScheme + "quotas/goals/0/path",
                                  kContext + "monitoring_attrs/probes/0/filters/0/path",
                                  kContext + "monitoring_attrs/sample/filters/0/cpumask",
                                  kContext + "monitoring_attrs/sample/filters/0/tid_arr"}) {
    EXPECT_EQ(tree_.read(path), "\n") << path;
    EXPECT_EQ(tree_.write(path, "/a\n"), 0) << path;
    EXPECT_EQ(tree_.read(path), "/a\n\n") << path;
    EXPECT_EQ(tree_.write(path, "/b\0/c"sv), 0) << path;
    EXPECT_EQ(tree_.read(path), "/b\n") << path;
    EXPECT_EQ(tree_.write(path, std::string(4096, 'x')), 0) << path;
    EXPECT_EQ(tree_.read(path), std::string(4095, 'x')) << path;
  }
}

TEST_F(DamonTree, ReadOnlyFilesRefuseWrites) {
  for (const std::string& path :
       {"kdamonds/0/pid"s, kContext + "avail_operations", kScheme + "filters/0/avail_types",
        kContext + "monitoring_attrs/probes/0/filters/0/avail_types",
        kContext + "monitoring_attrs/probes/0/preps/0/avail_prep_actions",
        kScheme + "stats/nr_tried", kScheme + "quotas/effective_bytes",
        kScheme + "tried_regions/total_bytes"}) {
    EXPECT_NE(tree_.write(path, "1"), 0) << path;
  }
}

TEST_F(DamonTree, AddrUnitIsNotZero) {
  EXPECT_EQ(tree_.write(kContext + "addr_unit", "0"), EINVAL);
  EXPECT_EQ(tree_.read(kContext + "addr_unit"), "1\n");
}

// What page tables do not tell is refused, what changes nothing is taken.
TEST_F(DamonTree, AccessesAreNotToldApart) {
  const std::string sample = kContext + "monitoring_attrs/sample/";
  const std::string operations = kContext + "operations_attrs/";
  for (const auto& [path, taken, refused] :
       std::vector<std::tuple<std::string, std::string, std::string>>{
           {sample + "primitives/page_table", "Y", "N"},
           {sample + "primitives/page_fault", "N", "Y"},
           {sample + "filters/0/type", "write", "cpumask"},
           {sample + "filters/0/type", "write", "threads"},
           {operations + "use_reports", "N", "Y"},
           {operations + "write_only", "N", "Y"},
           {operations + "cpus", "all", "0-1"},
           {operations + "tids", "", "1 2"}}) {
    const std::string before = tree_.read(path);
    EXPECT_EQ(tree_.write(path, taken), 0) << path;
    EXPECT_EQ(tree_.write(path, refused), EINVAL) << path;
    EXPECT_EQ(tree_.read(path), before) << path;
  }
}

TEST_F(DamonTree, TriedRegionsTellProbeHits) {
  ASSERT_EQ(tree_.write(kContext + "monitoring_attrs/probes/nr_probes", "2"), 0);
  try_regions();
  EXPECT_EQ(tree_.read(kScheme + "tried_regions/0/probes/0/hits"), "20\n");
  EXPECT_EQ(tree_.read(kScheme + "tried_regions/0/probes/1/hits"), "0\n");
  EXPECT_FALSE(tree_.exists(kScheme + "tried_regions/0/probes/2/hits"));
}

TEST_F(DamonTree, CountsAreChecked) {
  for (const std::string& path :
       {"kdamonds/nr_kdamonds"s, "kdamonds/0/contexts/nr_contexts"s,
        kContext + "monitoring_attrs/probes/nr_probes", kContext + "targets/nr_targets",
        kContext + "targets/0/regions/nr_regions", kContext + "schemes/nr_schemes",
        kScheme + "dests/nr_dests", kScheme + "quotas/goals/nr_goals",
        kScheme + "filters/nr_filters"}) {
    EXPECT_EQ(tree_.write(path, "-1"), EINVAL) << path;
    EXPECT_EQ(tree_.write(path, "x"), EINVAL) << path;
    EXPECT_EQ(tree_.write(path, "2147483648"), ERANGE) << path;
    EXPECT_EQ(tree_.read(path), "1\n") << path;
  }
  EXPECT_EQ(tree_.write("kdamonds/0/contexts/nr_contexts", "2"), EINVAL);
  EXPECT_EQ(tree_.write(kContext + "monitoring_attrs/probes/nr_probes", "5"), EINVAL);
  EXPECT_EQ(tree_.write(kContext + "monitoring_attrs/probes/nr_probes", "4"), 0);
}

TEST_F(DamonTree, TooManyRemoveTheOldOnesAndFail) {
  EXPECT_EQ(tree_.write(kContext + "targets/nr_targets", "524289"), ENOMEM);
  EXPECT_EQ(tree_.read(kContext + "targets/nr_targets"), "0\n");
  EXPECT_FALSE(tree_.exists(kContext + "targets/0/pid_target"));
}

TEST_F(DamonTree, TheSameCountAgainResets) {
  ASSERT_EQ(tree_.write(kScheme + "action", "pageout"), 0);
  ASSERT_EQ(tree_.write(kContext + "schemes/nr_schemes", "1"), 0);
  EXPECT_EQ(tree_.read(kScheme + "action"), "stat\n");
  EXPECT_EQ(tree_.read(kScheme + "filters/nr_filters"), "0\n");
  EXPECT_FALSE(tree_.exists(kScheme + "filters/0/type"));
}

TEST_F(DamonTree, CountsMakeAsManyWithTheirOwnValues) {
  ASSERT_EQ(tree_.write(kContext + "targets/nr_targets", "12"), 0);
  ASSERT_EQ(tree_.write(kContext + "targets/11/pid_target", "42"), 0);
  EXPECT_EQ(tree_.read(kContext + "targets/11/pid_target"), "42\n");
  EXPECT_EQ(tree_.read(kContext + "targets/10/pid_target"), "0\n");
  EXPECT_FALSE(tree_.exists(kContext + "targets/12/pid_target"));
}

TEST_F(DamonTree, OpenFilesOfRemovedDirectoriesAnswerEnodev) {
  const auto file = tree_.open(kScheme + "action");
  ASSERT_EQ(tree_.write(kContext + "schemes/nr_schemes", "1"), 0);
  EXPECT_EQ(tree_.read(file).error().code, ENODEV);
  EXPECT_EQ(tree_.write(file, "pageout").error().code, ENODEV);
  const auto deep = tree_.open(kScheme + "quotas/weights/sz_permil");
  const auto state = tree_.open("kdamonds/0/state");
  ASSERT_EQ(tree_.write("kdamonds/nr_kdamonds", "0"), 0);
  EXPECT_EQ(tree_.read(deep).error().code, ENODEV);
  EXPECT_EQ(tree_.write(state, "on").error().code, ENODEV);
}

}  // namespace
}  // namespace damonfs
