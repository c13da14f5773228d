#include "ops/rmap/reverse_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <chrono>
#include <random>
#include <thread>

#include "ops/rmap/reverse_map_scan.h"
#include "tests/unit/ops/child.h"
#include "tests/unit/ops/rmap/fake_page_tables.h"
#include "tests/unit/ops/vaddr/vaddr_actions_fixtures.h"

namespace damonfs {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr size_t kMany = 1 << 20;

class ReverseMapTest : public testing::Test {
 protected:
  FakeRmapSource::Shown& add(pid_t pid, std::vector<std::vector<RmapSource::Run>> reads) {
    auto& shown = world_->processes[pid];
    shown.process.process = Process::open(::getpid(), Paths()).value();
    shown.reads = std::move(reads);
    return shown;
  }
  Scan scan(size_t max_runs = kMany) {
    FakeRmapSource tables(world_);
    auto scanned = scan_page_tables(tables, max_runs, [] { return true; });
    EXPECT_TRUE(scanned);
    return std::move(*scanned);
  }

  const std::shared_ptr<FakeRmapSource::World> world_ = std::make_shared<FakeRmapSource::World>();
};

TEST_F(ReverseMapTest, EmptyKnowsNothing) {
  EXPECT_THAT(mappings_of(ReverseMap(), 7), IsEmpty());
  EXPECT_EQ(ReverseMap().bytes(), 0U);
}

TEST_F(ReverseMapTest, SharedPagesHaveAllTheirMappings) {
  add(10, {{{0x10000, 100, 3}, {0x90000, 200, 1}}});
  add(20, {{{0x50000, 101, 4}}});
  add(30, {{{0x70000, 102, 1}, {0x80000, 102, 1}}});  // twice in one
  const Scan seen = scan();
  EXPECT_THAT(mappings_of(seen.map, 99), IsEmpty());
  EXPECT_THAT(mappings_of(seen.map, 100), ElementsAre(Mapping{0, 0x10000}));
  EXPECT_THAT(mappings_of(seen.map, 101), ElementsAre(Mapping{0, 0x11000}, Mapping{1, 0x50000}));
  EXPECT_THAT(mappings_of(seen.map, 102), ElementsAre(Mapping{0, 0x12000}, Mapping{1, 0x51000},
                                                      Mapping{2, 0x70000}, Mapping{2, 0x80000}));
  EXPECT_THAT(mappings_of(seen.map, 104), ElementsAre(Mapping{1, 0x53000}));
  EXPECT_THAT(mappings_of(seen.map, 200), ElementsAre(Mapping{0, 0x90000}));
  EXPECT_EQ(seen.nr_failed + seen.nr_left_out, 0U);
}

// Runs that are longer than a block are cut, so that looking up stays a matter of one block.
TEST_F(ReverseMapTest, HugePagesAndLongRuns) {
  add(10, {{{0x200000, 512, 512}, {0x400000, 1024 + 500, 1024}}});
  const Scan seen = scan();
  EXPECT_EQ(seen.map.nr_runs(), 4U);
  EXPECT_THAT(mappings_of(seen.map, 512), ElementsAre(Mapping{0, 0x200000}));
  EXPECT_THAT(mappings_of(seen.map, 1023), ElementsAre(Mapping{0, 0x3ff000}));
  EXPECT_THAT(mappings_of(seen.map, 1024), IsEmpty());
  EXPECT_THAT(mappings_of(seen.map, 1024 + 500), ElementsAre(Mapping{0, 0x400000}));
  EXPECT_THAT(mappings_of(seen.map, 2048 + 499), ElementsAre(Mapping{0, 0x7ff000}));
  EXPECT_THAT(mappings_of(seen.map, 2048 + 500), IsEmpty());
  std::vector<uint64_t> frames;
  seen.map.each_mapping(1000, 1600,
                        [&](uint32_t, uint64_t frame, uint64_t) { frames.push_back(frame); });
  EXPECT_THAT(frames, SizeIs(24 + 76));
  EXPECT_EQ(frames.front(), 1000U);
  EXPECT_EQ(frames.back(), 1599U);
}

TEST_F(ReverseMapTest, AgreesWithALookUpPageByPage) {
  std::mt19937_64 random(5);
  std::map<uint64_t, std::vector<Mapping>> expected;
  for (uint32_t process = 0; process < 6; ++process) {
    std::vector<RmapSource::Run> runs;
    uint64_t addr = 0x100000;
    for (int i = 0; i < 60; ++i) {
      const RmapSource::Run run{addr, random() % 4000, 1 + random() % 700};
      addr += (run.nr_pages + random() % 3) * kPageSize;
      for (uint64_t page = 0; page < run.nr_pages; ++page) {
        expected[run.frame + page].emplace_back(process, run.addr + page * kPageSize);
      }
      runs.push_back(run);
    }
    add(static_cast<pid_t>(10 + process), {runs});
  }
  const Scan seen = scan();
  for (uint64_t frame = 0; frame < 5000; ++frame) {
    std::sort(expected[frame].begin(), expected[frame].end());
    ASSERT_EQ(mappings_of(seen.map, frame), expected[frame]) << frame;
  }
}

TEST_F(ReverseMapTest, ProcessesThatExitOrStartMeanwhile) {
  add(10, {{{0x10000, 100, 1}}, {{0x20000, 110, 1}}});
  add(20, {{{0x30000, 120, 1}}});
  world_->on_read = [&](FakeRmapSource::World& world) {
    if (world.nr_reads != 1) return;
    world.processes.erase(20);
    add(30, {{{0x40000, 130, 1}}});
  };
  const Scan seen = scan();
  EXPECT_THAT(mappings_of(seen.map, 110), ElementsAre(Mapping{0, 0x20000}));
  EXPECT_THAT(mappings_of(seen.map, 120), IsEmpty());
  EXPECT_EQ(seen.nr_failed, 0U) << "who is gone is no failure";
  world_->on_read = nullptr;
  EXPECT_THAT(mappings_of(scan().map, 130), ElementsAre(Mapping{1, 0x40000}));
}

TEST_F(ReverseMapTest, RmapSourceThatChangeUnderTheScan) {
  add(10, {{{0x10000, 100, 1}}, {{0x20000, 110, 1}}});
  world_->on_read = [](FakeRmapSource::World& world) {
    if (world.nr_reads == 2) world.processes[10].reads[1] = {{0x20000, 100, 1}};
  };
  // Moved while it was read, the frame is seen at both places; who asks learns which it is now.
  EXPECT_THAT(mappings_of(scan().map, 100), ElementsAre(Mapping{0, 0x10000}, Mapping{0, 0x20000}));
}

TEST_F(ReverseMapTest, ProcessesThatMapNothingAreNotKept) {
  add(2, {});
  add(10, {{{0x10000, 100, 1}}});
  add(11, {{}, {}});
  const Scan seen = scan();
  EXPECT_THAT(seen.map.processes(), SizeIs(1));
  EXPECT_THAT(mappings_of(seen.map, 100), ElementsAre(Mapping{0, 0x10000}));
}

TEST_F(ReverseMapTest, WhoIsHiddenIsCounted) {
  add(10, {{{0x10000, 100, 1}}});
  add(20, {}).error = EACCES;
  add(30, {}).error = EACCES;
  const Scan seen = scan();
  EXPECT_EQ(seen.nr_failed, 2U);
  EXPECT_EQ(seen.failure.code, EACCES);
  world_->error = EACCES;
  FakeRmapSource tables(world_);
  EXPECT_EQ(scan_page_tables(tables, kMany, [] { return true; }).error().code, EACCES);
}

TEST_F(ReverseMapTest, MemoryIsBounded) {
  std::vector<RmapSource::Run> scattered;
  for (uint64_t i = 0; i < 3000; ++i) scattered.push_back({0x10000 + i * 0x1000, 10000 - 2 * i, 1});
  for (pid_t pid = 10; pid < 14; ++pid) add(pid, {scattered});
  const Scan seen = scan(4000);
  EXPECT_EQ(seen.map.nr_runs(), 4000U);
  EXPECT_LE(seen.map.bytes(), 4000 * 16 + 8 * sizeof(MappingProcess));
  EXPECT_EQ(seen.nr_left_out, 3U) << "one in part, two wholly";
  EXPECT_THAT(mappings_of(seen.map, 10000), ElementsAre(Mapping{0, 0x10000}, Mapping{1, 0x10000}));
}

TEST_F(ReverseMapTest, ScanEndsWhenItIsTold) {
  add(10, {{{0x10000, 100, 1}}, {{0x20000, 110, 1}}, {{0x30000, 120, 1}}});
  FakeRmapSource tables(world_);
  int left = 2;
  const auto seen = scan_page_tables(tables, kMany, [&] { return --left > 0; });
  EXPECT_THAT(mappings_of(seen->map, 110), SizeIs(1));
  EXPECT_THAT(mappings_of(seen->map, 120), IsEmpty());
}

TEST_F(ReverseMapTest, KeeperScansWhenItIsAsked) {
  add(10, {{{0x10000, 100, 1}}});
  const auto made = RmapRefresher::create(std::make_unique<FakeRmapSource>(world_), kMany);
  RmapRefresher& keeper = **made;
  EXPECT_EQ(keeper.map()->nr_runs(), 0U);
  EXPECT_TRUE(keeper.wait(10s)) << "nothing was asked for";
  EXPECT_EQ(keeper.nr_scans(), 0U);
  keeper.refresh();
  ASSERT_TRUE(keeper.wait(10s));
  const auto first = keeper.map();
  EXPECT_EQ(first->nr_runs(), 1U);
  world_->processes[10].reads[0].push_back({0x50000, 300, 1});
  keeper.refresh();
  ASSERT_TRUE(keeper.wait(10s));
  EXPECT_EQ(first->nr_runs(), 1U) << "who uses a map has it";
  EXPECT_EQ(keeper.map()->nr_runs(), 2U);
}

TEST_F(ReverseMapTest, KeeperScansWhenItsMapIsOld) {
  add(10, {{{0x10000, 100, 1}}});
  const auto made = RmapRefresher::create(std::make_unique<FakeRmapSource>(world_), kMany);
  RmapRefresher& keeper = **made;
  keeper.refresh();
  ASSERT_TRUE(keeper.wait(10s));
  keeper.report(63, 63);
  EXPECT_TRUE(keeper.wait(10s));
  EXPECT_EQ(keeper.nr_scans(), 1U) << "too few to tell";
  keeper.report(200, 2);
  EXPECT_TRUE(keeper.wait(10s));
  EXPECT_EQ(keeper.nr_scans(), 1U) << "under a quarter";
  keeper.report(100, 26);
  EXPECT_TRUE(keeper.wait(10s));
  EXPECT_EQ(keeper.nr_scans(), 2U);
}

TEST_F(ReverseMapTest, KeeperRestsNineTenthsOfTheTimeFromTheSecondScanOn) {
  using Clock = std::chrono::steady_clock;
  add(10, {{{0x10000, 100, 1}}, {{0x20000, 110, 1}}});
  add(20, {{{0x30000, 120, 1}}});
  Clock::duration worked{};
  world_->on_read = [&](FakeRmapSource::World&) {
    const auto began = Clock::now();
    std::this_thread::sleep_for(2ms);
    worked += Clock::now() - began;
  };
  const auto made = RmapRefresher::create(std::make_unique<FakeRmapSource>(world_), kMany);
  RmapRefresher& keeper = **made;
  keeper.refresh();
  ASSERT_TRUE(keeper.wait(200s));
  for (size_t scans = 2; scans < 4; ++scans) {
    worked = {};
    const auto began = Clock::now();
    keeper.refresh();
    ASSERT_TRUE(keeper.wait(200s));
    EXPECT_EQ(keeper.nr_scans(), scans);
    // A slow machine makes it longer, never shorter.
    EXPECT_GE(Clock::now() - began, 9 * worked);
    EXPECT_GE(worked, 3 * 2ms);
  }
}

TEST_F(ReverseMapTest, KeeperWarnsOnceOfEach) {
  const LogCapture log;
  add(10, {{{0x10000, 100, 1}, {0x20000, 200, 1}}});
  add(20, {}).error = EACCES;
  {
    const auto made = RmapRefresher::create(std::make_unique<FakeRmapSource>(world_), 1);
    RmapRefresher& keeper = **made;
    for (int i = 0; i < 3; ++i) {
      keeper.refresh();
      ASSERT_TRUE(keeper.wait(10s));
    }
    world_->error = EACCES;
    keeper.refresh();
    ASSERT_TRUE(keeper.wait(10s));
    EXPECT_EQ(keeper.map()->nr_runs(), 1U) << "the last one that could be made";
  }
  EXPECT_THAT(log.lines(), ElementsAre(HasSubstr("is full"), HasSubstr("no processes to be seen")));
}

// Page tables of this machine, but of a child only.
TEST(ProcfsPageTablesTest, FindsTheFramesOfAChild) {
  if (geteuid() != 0) GTEST_SKIP() << "page frames are for root";
  const MemoryChild child([] {
    char* memory = map_private(40);
    touch(memory, 0, 10);
    touch(memory, 20, 30);
    return memory;
  });
  ProcfsRmapSource tables(Paths(), ProtectedList(), {child.pid()});
  const auto seen = scan_page_tables(tables, kMany, [] { return true; });
  ASSERT_TRUE(seen);
  ASSERT_THAT(seen->map.processes(), SizeIs(1));
  EXPECT_FALSE(seen->map.processes()[0].is_protected);
  Kpageflags frames{Paths()};
  auto info = ProcessPages::open(*child.process(), frames);
  const AddrRange all = child.pages(0, 40);
  const auto present = info->present_pages({&all, 1});
  ASSERT_THAT(present, SizeIs(20));
  for (const ProcessPages::Page& page : present) {
    EXPECT_THAT(mappings_of(seen->map, page.entry.pfn()), ElementsAre(Mapping{0, page.addr}));
  }
}

TEST(ProcfsPageTablesTest, ReadsFolders) {
  const Child child;
  FakeSystem system;
  system.set_maps("10000-13000 rw-p 00000000 00:00 0\n50000-51000 r--p 00000000 00:00 0\n");
  system.map_page(0x10000, 500);
  system.map_page(0x11000, 501);
  system.map_page(0x50000, 502);
  system.write(TempTree::of_process(child.pid(), "maps"), "");
  ProtectedList protect;
  protect.pids = {getpid()};
  ASSERT_TRUE(protect.hold(Paths()));
  ProcfsRmapSource tables(system.paths(), protect);
  EXPECT_EQ(tables.processes().error().code, EACCES) << "process 1 is hidden";
  system.make_folder("proc/1");
  system.write("proc/uptime", "1");
  EXPECT_THAT(tables.processes().value(), ElementsAre(getpid(), 1, child.pid()))
      << "who is protected must have room in any map";
  EXPECT_TRUE(tables.open(getpid())->is_protected);
  std::vector<RmapSource::Run> runs;
  EXPECT_FALSE(tables.read(runs));
  ASSERT_THAT(runs, SizeIs(2));
  EXPECT_EQ(runs[0].addr, 0x10000U);
  EXPECT_EQ(runs[0].frame, 500U);
  EXPECT_EQ(runs[0].nr_pages, 2U);
  EXPECT_EQ(runs[1].frame, 502U) << "not at the next address";
  runs.clear();
  ASSERT_TRUE(tables.open(child.pid()));
  EXPECT_FALSE(tables.read(runs));
  EXPECT_THAT(runs, IsEmpty());
}

}  // namespace
}  // namespace damonfs
