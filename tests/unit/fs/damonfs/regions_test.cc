// MOUNT/damonfs/kdamonds/N/regions and regions.json: all regions of a kdamond in one file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "fs/damonfs/regions_snapshot.h"
#include "tests/unit/core/asker.h"
#include "tests/unit/fs/damon/state_commands_fixture.h"

namespace damonfs::test {
namespace {

using Json = nlohmann::ordered_json;
using testing::HasSubstr;
using testing::StartsWith;

const std::set<int> kNobodyIsDead;
const std::string kRegions = "/damonfs/kdamonds/0/regions";
const std::string kRegionsJson = kRegions + ".json";

SchemeParams params_for(Action action, uint32_t max_nr_accesses) {
  SchemeParams params;
  params.action = action;
  params.pattern = {0, UINT64_MAX, 0, max_nr_accesses, 0, UINT32_MAX};
  return params;
}

// Two targets, the second without a process: three regions, of which schemes are for some.
Context& with_regions(Context& context) {
  context.attrs.aggr_us = 50000;
  context.schedule = {.passed = 7, .next_aggregation = 17};  // all of the last aggregation counts
  Target& target = context.add_target(std::make_shared<FakeProcess>(42, kNobodyIsDead));
  Region& hot = target.add_region({0x1000, 0x3000});
  hot.last_nr_accesses = 9;
  hot.age = 6;
  hot.swept = SweptState::accessed;
  hot.last_probe_hits[0] = 3;
  target.add_region({0x5000, 0x6000}).swept = SweptState::unknown;
  context.add_target(nullptr);
  context.add_target(nullptr).add_region({0x10000, 0x20000}).swept = SweptState::not_accessed;
  context.add_scheme(params_for(Action::stat, 0));
  context.add_scheme(params_for(Action::pageout, 20));
  context.add_scheme(params_for(Action::stat, 20)).active = false;
  return context;
}

TEST(RegionsSnapshotTest, IsALineARegion) {
  Context context(OpsId::fvaddr, nullptr, 1);
  const RegionsSnapshot snapshot = RegionsSnapshot::of(with_regions(context), 1234);
  EXPECT_EQ(regions_text(&snapshot, "fake"),
            "# schema=1 state=on backend=fake operations=fvaddr addr_unit=1 min_region_sz=4096 "
            "sample_us=5000 aggr_us=50000 update_us=60000000 min_nr_regions=10 "
            "max_nr_regions=1000 max_nr_accesses=10 nr_samples=7 time_ns=1234 nr_targets=3 "
            "nr_regions=3\n"
            "# target pid start end nr_accesses age schemes swept\n"
            "0 42 4096 12288 9 6 1 yes\n"
            "0 42 20480 24576 0 0 0 unknown\n"
            "2 -1 65536 131072 0 0 0,1 no\n");
}

TEST(RegionsSnapshotTest, IsOneObject) {
  Context context(OpsId::paddr, nullptr, 1);
  const RegionsSnapshot snapshot = RegionsSnapshot::of(with_regions(context), 1234);
  EXPECT_EQ(Json::parse(regions_json(&snapshot, "fake")), Json::parse(R"({
    "schema": 1, "state": "on", "backend": "fake", "operations": "paddr", "addr_unit": 1,
    "min_region_sz": 4096, "sample_us": 5000, "aggr_us": 50000, "update_us": 60000000,
    "min_nr_regions": 10, "max_nr_regions": 1000, "max_nr_accesses": 10, "nr_samples": 7,
    "time_ns": 1234, "nr_regions": 3, "targets": [
      {"pid": 42, "nr_regions": 2, "regions": [
        {"start": 4096, "end": 12288, "nr_accesses": 9, "age": 6, "schemes": [1], "swept": "yes"},
        {"start": 20480, "end": 24576, "nr_accesses": 0, "age": 0, "schemes": [0],
         "swept": "unknown"}]},
      {"pid": -1, "nr_regions": 0, "regions": []},
      {"pid": -1, "nr_regions": 1, "regions": [
        {"start": 65536, "end": 131072, "nr_accesses": 0, "age": 0, "schemes": [0, 1],
         "swept": "no"}]}]})"));
}

TEST(RegionsSnapshotTest, HasTheHitsOfProbes) {
  Context context(OpsId::vaddr, nullptr, 1);
  context.probes.resize(2);
  const RegionsSnapshot snapshot = RegionsSnapshot::of(with_regions(context), 0);
  const Json json = Json::parse(regions_json(&snapshot, "fake"));
  EXPECT_EQ(json["targets"][0]["regions"][0]["probe_hits"], Json::parse("[3, 0]"));
}

class RegionsFileTest : public StateTest {
 protected:
  Result<std::string> take(const std::stop_token& interrupt = {}) {
    const auto file = tree_.open(kRegions);
    return tree_.tree().take_snapshot(*file.directory, file.index, interrupt);
  }
};

TEST_F(RegionsFileTest, AKdamondThatIsOffHasNone) {
  EXPECT_EQ(tree_.snapshot(kRegions),
            "# schema=1 state=off backend=fake nr_targets=0 nr_regions=0\n");
  EXPECT_EQ(Json::parse(tree_.snapshot(kRegionsJson)),
            Json::parse(R"({"schema": 1, "state": "off", "backend": "fake", "nr_regions": 0,
                            "targets": []})"));
  turn_on();
  let_it_end();
  EXPECT_THAT(tree_.snapshot(kRegions), StartsWith("# schema=1 state=off"));
}

TEST_F(RegionsFileTest, ShowsWhatRuns) {
  turn_on();
  const std::string text = tree_.snapshot(kRegions);
  EXPECT_THAT(text, StartsWith("# schema=1 state=on backend=fake operations=vaddr"));
  EXPECT_THAT(text, HasSubstr("\n0 42 65536 "));
  EXPECT_EQ(Json::parse(tree_.snapshot(kRegionsJson))["targets"][0]["pid"], 42);
  ASSERT_EQ(command("off"), 0);
  EXPECT_THAT(tree_.snapshot(kRegions), StartsWith("# schema=1 state=off"));
}

TEST_F(RegionsFileTest, AKdamondThatDoesNotAnswerIsBusy) {
  turn_on();
  tree_.script.hold_checks = true;
  ASSERT_TRUE(eventually([&] { return tree_.snapshot(kRegions) == "!" + std::to_string(EBUSY); }));
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(take(stop.get_token()).error().code, EINTR);
  tree_.script.hold_checks = false;
  EXPECT_TRUE(
      eventually([&] { return tree_.snapshot(kRegions).starts_with("# schema=1 state=on"); }));
}

TEST_F(RegionsFileTest, TheTreeIsFreeMeanwhile) {
  turn_on();
  tree_.script.hold_checks = true;
  ASSERT_TRUE(eventually([&] { return tree_.snapshot(kRegions) == "!" + std::to_string(EBUSY); }));
  Asker reader(
      [this](const std::stop_token& stop) { return take(stop).map([](const std::string&) {}); });
  EXPECT_EQ(tree_.read(kState), "on\n");
  reader.interrupt();
  reader.answer();
}

TEST_F(RegionsFileTest, CannotBeWrittenAndGoesWithItsDirectory) {
  EXPECT_EQ(tree_.write(kRegions, "x"), EIO);
  const auto file = tree_.open(kRegions);
  set("kdamonds/nr_kdamonds", "0");
  EXPECT_EQ(tree_.tree().take_snapshot(*file.directory, file.index, {}).error().code, ENODEV);
}

}  // namespace
}  // namespace damonfs::test
