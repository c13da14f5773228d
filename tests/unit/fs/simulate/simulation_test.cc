// Whole simulations, with results that can be worked out by hand.
#include "fs/simulate/simulation.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "fs/simulate/simulate_view.h"
#include "tests/unit/units.h"

namespace damonfs {
namespace {

// 192 MiB that nobody accesses, on a machine with 256.
const std::string kCold = "memory 256M\nprocess 1\nmap a 0x10000000 192M\nphase 1h\n";

// A kdamond that watches all of that, with one scheme on everything that is not accessed.
std::string kdamond(const std::string& scheme) {
  return R"(
  - contexts:
      - operations: fvaddr
        targets:
          - pid_target: 1
            regions: [{start: 0x10000000, end: 0x1c000000}]
        schemes:
          - access_pattern:
              sz: {max: 0xffffffffffffffff}
              nr_accesses: {max: 0}
              age: {max: 0xffffffff}
)" + scheme;
}

std::string config(const std::string& scheme) { return "kdamonds:" + kdamond(scheme); }

Result<std::unique_ptr<Simulation>> make(const std::string& config, const std::string& pattern,
                                         uint64_t length_ns = 3600 * kSecond) {
  const std::string file =
      std::filesystem::temp_directory_path() / ("damonfs-test." + std::to_string(::getpid()));
  std::ofstream(file) << config;
  auto made = Simulation::make(file, SimulatedWorld(*parse_pattern(pattern)), length_ns);
  std::filesystem::remove(file);
  return made;
}

TEST(SimulationTest, ColdMemoryIsPagedOutOnce) {
  const auto simulation = *make(config("            action: pageout\n"), kCold);
  simulation->run_until(60 * kSecond);
  const SimulatedKdamond seen = simulation->look()[0];
  EXPECT_EQ(192 * kMiB, seen.mapped);
  EXPECT_EQ(0U, seen.resident);
  EXPECT_EQ(0U, seen.brought_back);
  ASSERT_EQ(1U, seen.schemes.size());
  EXPECT_EQ(192 * kMiB, seen.schemes[0].stat.sz_applied);
  // All of it every 100 ms, from the end of the first aggregation on.
  EXPECT_EQ(uint64_t{600} * 192 * kMiB, seen.schemes[0].stat.sz_tried);
  EXPECT_EQ(600U, seen.schemes[0].stat.nr_snapshots);
}

TEST(SimulationTest, AQuotaHoldsInEveryWindow) {
  const auto simulation =
      *make(config("            action: pageout\n            quotas: {bytes: 4194304, "
                   "reset_interval_ms: 1000}\n"),
            kCold);
  uint64_t last = 0;
  // Windows begin with the first application, 100 ms after the start.
  for (uint64_t window = 1; window <= 40; ++window) {
    simulation->run_until(window * kSecond + kSecond / 20);
    const SchemeStat stat = simulation->look()[0].schemes[0].stat;
    EXPECT_EQ(4 * kMiB, stat.sz_tried - last) << window;
    EXPECT_EQ(stat.sz_tried, stat.sz_applied) << "goes on where it stopped";
    EXPECT_EQ(window - 1, stat.qt_exceeds);
    last = stat.sz_tried;
  }
  EXPECT_EQ(32 * kMiB, simulation->look()[0].resident);
}

TEST(SimulationTest, AGoalIsReachedAndKept) {
  // Half of 256 MiB are to be free, so 64 of 192 have to go: 16 windows of 4 MiB.
  const auto simulation = *make(config(R"(            action: pageout
            quotas:
              bytes: 4194304
              reset_interval_ms: 1000
              goal_tuner: temporal
              goals: [{target_metric: node_mem_free_bp, target_value: 5000}]
)"),
                                kCold);
  simulation->run_until(15 * kSecond + kSecond / 20);
  EXPECT_EQ(132 * kMiB, simulation->look()[0].resident);
  EXPECT_EQ(4 * kMiB, simulation->look()[0].schemes[0].effective_bytes);
  simulation->run_until(3600 * kSecond);
  EXPECT_EQ(128 * kMiB, simulation->look()[0].resident);
  EXPECT_EQ(0U, simulation->look()[0].schemes[0].effective_bytes);
}

TEST(SimulationTest, WatermarksFollowTheMachine) {
  // 256 MiB with 64 free are 250 permille. The first scheme frees memory until it rests, above 500.
  const std::string marks =
      "            action: pageout\n            quotas: {bytes: 4194304, reset_interval_ms: 1000}\n"
      "            watermarks: {metric: free_mem_rate, interval_us: 1000000, high: 500, mid: 400, "
      "low: 100}\n";
  const auto simulation = *make("kdamonds:" + kdamond(marks) +
                                    kdamond("            action: stat\n" +
                                            marks.substr(marks.find("            watermarks"))),
                                kCold);
  simulation->run_until(5 * kSecond);
  EXPECT_TRUE(simulation->look()[0].schemes[0].active);
  EXPECT_TRUE(simulation->look()[1].schemes[0].active);
  simulation->run_until(60 * kSecond);
  const auto seen = simulation->look();
  EXPECT_FALSE(seen[0].schemes[0].active);
  EXPECT_FALSE(seen[1].schemes[0].active) << "they share the machine";
  EXPECT_EQ(124 * kMiB, seen[0].resident) << "the first 4 MiB by which 500 is exceeded";
  EXPECT_TRUE(seen[0].running);
}

TEST(SimulationTest, RunsAreTheSameBySeed) {
  const auto run = [](const std::string& seed) {
    const auto simulation =
        *make("kdamonds:" + kdamond("            action: pageout\n") + kdamond(""),
              "seed " + seed + "\n" + kCold + "access a 16M 16M 20%\naccess a 100M 50M 0.01/s\n");
    std::string lines;
    for (uint64_t at = 10; at <= 60; at += 10) {
      simulation->run_until(at * kSecond);
      lines += to_json_lines({static_cast<double>(at), simulation->look()});
    }
    return lines;
  };
  const std::string once = run("1");
  EXPECT_EQ(once, run("1"));
  EXPECT_NE(once, run("2"));
}

TEST(SimulationTest, EndsWithItsProcess) {
  const auto simulation =
      *make(config(""), "process 1\nmap a 0x10000000 192M\nphase 10s\nend exit\n");
  simulation->run_until(9 * kSecond);
  EXPECT_TRUE(simulation->look()[0].running);
  simulation->run_until(3600 * kSecond);
  EXPECT_FALSE(simulation->look()[0].running);
  EXPECT_EQ(0U, simulation->look()[0].mapped);
}

// As the kernel's, a kdamond of physical memory goes on without anything to watch.
TEST(SimulationTest, PhysicalMemoryDoesNotEnd) {
  const auto simulation = *make("kdamonds: [{contexts: [{operations: paddr}]}]", kCold);
  simulation->run_until(9 * kSecond);
  EXPECT_TRUE(simulation->look()[0].running);
}

TEST(SimulationTest, APausedKdamondDoesNotHoldUpOthers) {
  const std::string paused = config("") + "        pause: Y\n";
  const auto simulation =
      *make(paused + kdamond("            action: pageout\n"), kCold, 10 * kSecond);
  simulation->run_until(10 * kSecond);
  EXPECT_EQ(0U, simulation->look()[0].schemes[0].stat.nr_tried);
  EXPECT_EQ(0U, simulation->look()[1].resident);
}

TEST(SimulationTest, SeesWhatIsThere) {
  const auto simulation = *make(config(""), kCold + "access a 64M 64M always\n");
  simulation->run_until(20 * kSecond);
  const auto views = simulation->look_at_targets();
  ASSERT_EQ(1U, views.size());
  EXPECT_EQ(1, views[0].snapshot.pid);
  const SnapshotSums sums = sums_of(views[0].snapshot);
  EXPECT_EQ(192 * kMiB, sums.watched);
  EXPECT_NEAR(64, static_cast<double>(sums.hot) / kMiB, 8);
}

TEST(SimulationTest, BadConfigurationsAreRefused) {
  const auto refused = [](const std::string& text) {
    const auto made = make(text, kCold);
    return made ? Error{} : made.error();
  };
  EXPECT_EQ(EINVAL, refused(config("            action: pagein\n")).code);
  EXPECT_NE(std::string::npos, refused(config("            action: pagein\n"))
                                   .message.find(":12: kernel/mm/damon/admin/kdamonds/0/contexts/0/"
                                                 "schemes/0/action: \"pagein\" is refused: "));
  // What only `on` finds, at the line of the kdamond.
  const Error memcg = refused(config("            filters: [{type: memcg, memcg_path: /a}]\n"));
  EXPECT_EQ(ENOMEM, memcg.code);
  EXPECT_NE(std::string::npos, memcg.message.find(":2: kernel/mm/damon/admin/kdamonds/0/state"));
  EXPECT_EQ(EINVAL, refused("kdamonds: []").code);
  EXPECT_EQ(EINVAL, refused("kdamonds: [{contexts: []}]").code);
  EXPECT_EQ(EINVAL, refused(config("") + "    state: off\n").code);
  EXPECT_EQ(EINVAL, refused("module/damon_reclaim/parameters: {enabled: N}").code);
  EXPECT_EQ(EINVAL, refused("module/damon_reclaim/parameters: {enabled: perhaps}").code);
  EXPECT_EQ(EINVAL,
            refused("module/damon_reclaim/parameters: {enabled: Y, aggr_interval: 0}").code);
  EXPECT_EQ(EBUSY, refused("module: {damon_stat/parameters/enabled: Y, "
                           "damon_lru_sort/parameters/enabled: Y}")
                       .code);
  EXPECT_EQ(EBUSY, refused(config("") + "module/damon_stat/parameters: {enabled: Y}\n").code);
}

TEST(SimulationTest, ModulesActOnAllMemory) {
  const auto simulation = *make(
      "module/damon_reclaim/parameters: {enabled: Y, min_age: 1000000, quota_ms: 0, quota_sz: 0, "
      "wmarks_high: 1000, wmarks_mid: 1000}",
      kCold + "access a 64M 64M always\n", 20 * kSecond);
  simulation->run_until(20 * kSecond);
  const auto kdamonds = simulation->look();
  ASSERT_EQ(1U, kdamonds.size());
  EXPECT_EQ(192 * kMiB, kdamonds[0].mapped);
  ASSERT_EQ(1U, kdamonds[0].schemes.size());
  EXPECT_EQ(Action::pageout, kdamonds[0].schemes[0].action);
  EXPECT_NEAR(128, static_cast<double>(kdamonds[0].schemes[0].stat.sz_applied) / kMiB, 8);
  EXPECT_NEAR(64, static_cast<double>(kdamonds[0].resident) / kMiB, 8);
  const auto views = simulation->look_at_targets();
  ASSERT_EQ(1U, views.size());
  EXPECT_EQ(0, views[0].snapshot.pid);
  EXPECT_NEAR(64, static_cast<double>(sums_of(views[0].snapshot).hot) / kMiB, 8);
}

}  // namespace
}  // namespace damonfs
