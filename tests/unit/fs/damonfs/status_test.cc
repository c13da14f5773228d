// MOUNT/damonfs/status.json: what it says of a context, and of kdamonds that are off or busy.
#include "fs/damonfs/status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "fs/damonfs/context_status.h"
#include "tests/unit/core/asker.h"
#include "tests/unit/fs/damon/state_commands_fixture.h"

namespace damonfs::test {
namespace {

using Json = nlohmann::ordered_json;
using testing::ElementsAre;

const std::set<int> kNoneIsDead;

Context& with_all(Context& context) {
  context.addr_unit = 8;
  context.pause = true;
  context.sweep_bp = 250;
  context.attrs = {.sample_us = 1000,
                   .aggr_us = 10000,
                   .update_us = 70000,
                   .intervals_goal = {400, 3, 500, 9000},
                   .min_nr_regions = 5,
                   .max_nr_regions = 50};
  context.probes = {{.preps = {PrepAction::set_pgidle},
                     .filters = {{.type = ProbeFilterType::hugepage_size,
                                  .matching = true,
                                  .allow = true,
                                  .min_sz = 1,
                                  .max_sz = 2},
                                 {.type = ProbeFilterType::memcg, .path = "/x"}},
                     .weight = 7}};
  Region& region = context.add_target(std::make_shared<FakeProcess>(42, kNoneIsDead))
                       .add_region({0x1000, 0x3000});
  region.last_nr_accesses = 10;
  region.age = 6;
  region.swept = SweptState::accessed;
  region.last_probe_hits[0] = 10;
  Target& other = context.add_target(nullptr);
  other.sweeps.unknown_bytes = 12288;
  other.sweeps.nr_passes = 2;
  SchemeParams params;
  params.action = Action::migrate_hot;
  params.pattern = {1, 2, 3, 4, 5, 6};
  params.target_nid = 1;
  params.dests = {{.id = 1, .weight = 30}};
  params.watermarks = {WatermarkMetric::free_mem_rate, 5, 4, 3, 2};
  params.apply_interval_us = 9;
  params.max_nr_snapshots = 8;
  params.filters.core = {{.type = FilterType::addr, .matching = true, .addr = {1, 2}},
                         {.type = FilterType::target, .allow = true, .target_idx = 1},
                         {.type = FilterType::probe_hits_wsum, .min_sz = 3, .max_sz = 4}};
  params.filters.ops = {{.type = FilterType::young},
                        {.type = FilterType::memcg, .memcg_path = "/\xff"},
                        {.type = FilterType::hugepage_size, .min_sz = 5, .max_sz = 6}};
  Scheme& scheme = context.add_scheme(std::move(params));
  scheme.active = false;
  scheme.stat = {1, 2, 3, 4, 5, 6, 7};
  scheme.quota.params = {.ms = 1,
                         .bytes = 2,
                         .reset_interval_ms = 3,
                         .sz_permil = 4,
                         .nr_accesses_permil = 5,
                         .age_permil = 6,
                         .fail_charge_num = 7,
                         .fail_charge_denom = 8,
                         .goal_tuner = GoalTuner::temporal,
                         .goals = {{.metric = GoalMetric::node_memcg_used_bp,
                                    .target_value = 9,
                                    .current_value = 10,
                                    .nid = 11,
                                    .complement = true,
                                    .path = "/y"}}};
  context.timing.since_start.add(3000, 1500);
  context.timing.since_start.add(1000, 500);
  return context;
}

TEST(ContextStatusTest, SaysAll) {
  Context context(OpsId::fvaddr, nullptr, 1);
  const Json json = Json::parse(ContextStatus::of(with_all(context)).to_json().dump());
  EXPECT_EQ(json["operations"], "fvaddr");
  EXPECT_EQ(json["addr_unit"], 8);
  EXPECT_EQ(json["min_region_sz"], 4096);
  EXPECT_EQ(json["pause"], true);
  EXPECT_EQ(json["sweep"],
            Json::parse(R"({"percent": 2.5, "accessed_bytes": 65536, "unknown_bytes": 12288,
                            "passes": 0})"));
  EXPECT_EQ(json["nr_regions"], 1);
  EXPECT_EQ(json["monitoring_attrs"], Json::parse(R"({
    "intervals": {"sample_us": 1000, "aggr_us": 10000, "update_us": 70000,
                  "intervals_goal": {"access_bp": 400, "aggrs": 3, "min_sample_us": 500,
                                     "max_sample_us": 9000}},
    "nr_regions": {"min": 5, "max": 50},
    "probes": [{"weight": 7, "preps": [{"prep_action": "set_pgidle"}],
                "filters": [{"type": "hugepage_size", "matching": true, "allow": true, "min": 1,
                             "max": 2},
                            {"type": "memcg", "matching": false, "allow": false,
                             "path": "/x"}]}]})"));
  EXPECT_EQ(json["sampling"]["since_start"], Json::parse(R"({
    "nr_samples": 2, "late_us": {"mean": 2.0, "max": 3.0}, "work_us": {"mean": 1.0, "max": 1.5}})"));
  EXPECT_EQ(json["sampling"]["last_aggregation"]["nr_samples"], 0);
}

TEST(ContextStatusTest, SaysAllOfTargets) {
  Context context(OpsId::fvaddr, nullptr, 1);
  with_all(context);
  // A whole aggregation lacks: all of the last one counts.
  context.schedule.next_aggregation = 10;
  EXPECT_EQ(Json::parse(ContextStatus::of(context).to_json().dump())["targets"], Json::parse(R"([
    {"pid_target": 42, "obsolete_target": false, "nr_regions": 1,
     "regions": [{"start": 4096, "end": 12288, "nr_accesses": 10, "age": 6, "sampling_addr": 0,
                  "swept": "yes", "probe_hits": [10]}]},
    {"pid_target": -1, "obsolete_target": false, "nr_regions": 0, "regions": []}])"));
}

TEST(ContextStatusTest, SaysAllOfSchemes) {
  Context context(OpsId::fvaddr, nullptr, 1);
  const std::string text = ContextStatus::of(with_all(context)).to_json().dump();
  Json scheme = Json::parse(text)["schemes"].at(0);
  EXPECT_EQ(scheme["ops_filters"][1]["memcg_path"], "/\xef\xbf\xbd") << "it was no UTF-8";
  scheme["ops_filters"].erase(1);
  EXPECT_EQ(scheme, Json::parse(R"({
    "action": "migrate_hot", "active": false, "apply_interval_us": 9, "target_nid": 1,
    "dests": [{"id": 1, "weight": 30}],
    "access_pattern": {"sz": {"min": 1, "max": 2}, "nr_accesses": {"min": 3, "max": 4},
                       "age": {"min": 5, "max": 6}},
    "quotas": {"ms": 1, "bytes": 2, "reset_interval_ms": 3, "effective_bytes": 0,
               "weights": {"sz_permil": 4, "nr_accesses_permil": 5, "age_permil": 6},
               "fail_charge_num": 7, "fail_charge_denom": 8, "goal_tuner": "temporal",
               "goals": [{"target_metric": "node_memcg_used_bp", "target_value": 9,
                          "current_value": 10, "nid": 11, "path": "/y", "complement": true}]},
    "watermarks": {"metric": "free_mem_rate", "interval_us": 5, "high": 4, "mid": 3, "low": 2},
    "core_filters": [{"type": "addr", "matching": true, "allow": false, "addr_start": 1,
                      "addr_end": 2},
                     {"type": "target", "matching": false, "allow": true, "damon_target_idx": 1},
                     {"type": "probe_hits_wsum", "matching": false, "allow": false, "min": 3,
                      "max": 4}],
    "ops_filters": [{"type": "young", "matching": false, "allow": false},
                    {"type": "hugepage_size", "matching": false, "allow": false, "min": 5,
                     "max": 6}],
    "stats": {"nr_tried": 1, "sz_tried": 2, "nr_applied": 3, "sz_applied": 4,
              "sz_ops_filter_passed": 5, "qt_exceeds": 6, "nr_snapshots": 7,
              "max_nr_snapshots": 8}})"));
}

// The file of a fake tree.
class StatusTest : public StateTest {
 protected:
  Result<std::string> take(const std::stop_token& interrupt = {}) {
    const auto file = tree_.open("/damonfs/status.json");
    return tree_.tree().take_snapshot(*file.directory, file.index, interrupt);
  }
  Json status() {
    const auto text = take();
    EXPECT_TRUE(text);
    return text ? Json::parse(*text) : Json();
  }
  Json kdamond(size_t i = 0) { return status()["kdamonds"][i]; }
};

TEST_F(StatusTest, NamesTheBackendAndAllPlaces) {
  set("kdamonds/nr_kdamonds", "2");
  const Json json = status();
  EXPECT_EQ(json["schema"], 1);
  EXPECT_EQ(json["daemon"]["backend"], "fake");
  std::vector<std::string> paths;
  for (const Json& each : json["kdamonds"]) {
    paths.push_back(each["path"]);
    EXPECT_EQ(each["state"], "off");
    EXPECT_EQ(each["pid"], -1);
    EXPECT_TRUE(each["contexts"].empty());
  }
  EXPECT_THAT(paths,
              ElementsAre("kernel/mm/damon/admin/kdamonds/0", "kernel/mm/damon/admin/kdamonds/1",
                          "module/damon_lru_sort", "module/damon_reclaim", "module/damon_stat"));
}

TEST_F(StatusTest, AKdamondThatRuns) {
  turn_on();
  const Json json = kdamond();
  EXPECT_EQ(json["state"], "on");
  EXPECT_EQ(json["pid"], std::stoi(tree_.read("kdamonds/0/pid")));
  ASSERT_EQ(json["contexts"].size(), 1);
  EXPECT_EQ(json["contexts"][0]["targets"][0]["pid_target"], 42);
  ASSERT_EQ(command("off"), 0);
  EXPECT_EQ(kdamond()["state"], "off");
}

TEST_F(StatusTest, AKdamondThatHasEndedByItselfIsOff) {
  turn_on();
  let_it_end();
  EXPECT_EQ(kdamond()["state"], "off");
  EXPECT_EQ(kdamond()["pid"], -1);
}

TEST_F(StatusTest, OnlyWhatIsCommittedCounts) {
  turn_on();
  set(kScheme + "action", "pageout");
  EXPECT_EQ(kdamond()["contexts"][0]["schemes"][0]["action"], "stat");
  ASSERT_EQ(command("commit"), 0);
  EXPECT_EQ(kdamond()["contexts"][0]["schemes"][0]["action"], "pageout");
}

TEST_F(StatusTest, AModule) {
  ASSERT_EQ(tree_.write("/module/damon_stat/parameters/enabled", "Y"), 0);
  const Json json = kdamond(3);
  EXPECT_EQ(json["path"], "module/damon_stat");
  EXPECT_EQ(json["state"], "on");
  EXPECT_EQ(json["contexts"][0]["operations"], "paddr");
}

TEST_F(StatusTest, AKdamondThatDoesNotAnswerIsBusy) {
  turn_on();
  tree_.script.hold_checks = true;
  const uint64_t checks = tree_.script.nr_checks;
  ASSERT_TRUE(eventually([&] { return kdamond()["state"] == "busy"; }));
  EXPECT_LE(tree_.script.nr_checks, checks + 1);
  const Json json = kdamond();
  EXPECT_EQ(json["pid"], std::stoi(tree_.read("kdamonds/0/pid")));
  EXPECT_TRUE(json["contexts"].empty());
  tree_.script.hold_checks = false;
  EXPECT_TRUE(eventually([&] { return kdamond()["state"] == "on"; }));
}

TEST_F(StatusTest, ABusyOneDoesNotHideOthers) {
  set("kdamonds/nr_kdamonds", "2");
  for (const std::string number : {"0", "1"}) {
    set("kdamonds/" + number + "/contexts/nr_contexts", "1");
    set("kdamonds/" + number + "/contexts/0/targets/nr_targets", "1");
    set("kdamonds/" + number + "/contexts/0/targets/0/pid_target", "42");
  }
  turn_on();
  tree_.script.hold_checks = true;
  ASSERT_TRUE(eventually([&] { return kdamond()["state"] == "busy"; }));
  // Sleeps for long before its first check.
  set("kdamonds/1/contexts/0/monitoring_attrs/intervals/aggr_us", "900000000");
  set("kdamonds/1/contexts/0/monitoring_attrs/intervals/sample_us", "900000000");
  ASSERT_EQ(tree_.write("kdamonds/1/state", "on"), 0);
  const Json json = status();
  EXPECT_EQ(json["kdamonds"][0]["state"], "busy");
  EXPECT_EQ(json["kdamonds"][1]["state"], "on");
  tree_.script.hold_checks = false;
}

TEST_F(StatusTest, AReaderMayGiveUp) {
  turn_on();
  tree_.script.hold_checks = true;
  ASSERT_TRUE(eventually([&] { return kdamond()["state"] == "busy"; }));
  std::stop_source stop;
  stop.request_stop();
  const auto text = take(stop.get_token());
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().code, EINTR);
}

TEST_F(StatusTest, TheTreeIsFreeMeanwhile) {
  turn_on();
  tree_.script.hold_checks = true;
  ASSERT_TRUE(eventually([&] { return kdamond()["state"] == "busy"; }));
  Asker reader(
      [this](const std::stop_token& stop) { return take(stop).map([](const std::string&) {}); });
  EXPECT_EQ(tree_.read(kState), "on\n");
  reader.interrupt();
  reader.answer();
}

TEST(StatusText, BytesThatAreNoTextAreReplaced) {
  Context context(OpsId::vaddr, nullptr, 1);
  const KdamondPlace place{"x/\xff", nullptr};
  const auto text = status_text({"fake", true}, std::span(&place, 1), std::chrono::seconds(1), {});
  ASSERT_TRUE(text);
  EXPECT_EQ(Json::parse(*text)["kdamonds"][0]["path"], "x/\xef\xbf\xbd");
  EXPECT_EQ(Json::parse(*text)["daemon"]["dry_run"], true);
  EXPECT_EQ(text->back(), '\n');
}

}  // namespace
}  // namespace damonfs::test
