#include "ops/actions/migrate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "tests/unit/ops/vaddr/vaddr_actions_fixtures.h"

namespace damonfs {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

// Nodes of pages by their number; pages in `stuck` stay where they are.
class FakeNodes final : public ActionCalls {
 public:
  int64_t move_pages(pid_t pid, std::span<void*> pages, const int* to,
                     std::span<int> status) override {
    EXPECT_EQ(pid, getpid());
    EXPECT_EQ(pages.size(), status.size());
    if (error != 0) return -error;
    if (to != nullptr) ++nr_moves;
    for (size_t i = 0; i < pages.size(); ++i) {
      const uint64_t page = (reinterpret_cast<uint64_t>(pages[i]) - kBase) / kPageSize;
      const auto node = nodes.find(page);
      if (node == nodes.end()) {
        status[i] = -ENOENT;
        continue;
      }
      if (to != nullptr && !stuck.contains(page)) node->second = to[i];
      status[i] = to != nullptr && busy.contains(page) ? -EBUSY : node->second;
    }
    return 0;
  }
  std::map<uint64_t, int> nodes;
  std::set<uint64_t> stuck;
  std::set<uint64_t> busy;  // reported so although they move, as tails of huge pages are
  int error = 0;
  int nr_moves = 0;
};

class MigratorTest : public testing::Test {
 protected:
  MigratorTest() {
    system_.write("sys/devices/system/node/has_memory", "0-1,3\n");
    for (uint64_t page = 0; page < 16; ++page) {
      system_.map_page(at(page, page).start, kFrame + page);
      system_.set_flags(kFrame + page, 0);
      calls_.nodes[page] = 0;
    }
  }
  // Pages moved.
  std::vector<uint64_t> migrate(RangeList pages = {at(0, 16)}, bool dry_run = false) {
    Migrator migrator(calls_, system_.paths(), frames_);
    const auto process = system_.process();
    auto info = ProcessPages::open(*process, frames_);
    std::vector<uint64_t> moved;
    for (const AddrRange& run :
         migrator.migrate(params_, *process, *info, mappings_, pages, dry_run)) {
      for (uint64_t addr = run.start; addr < run.end; addr += kPageSize) {
        moved.push_back((addr - kBase) / kPageSize);
      }
    }
    return moved;
  }

  FakeSystem system_;
  Kpageflags frames_{system_.paths()};
  FakeNodes calls_;
  SchemeParams params_;
  RangeList mappings_ = {at(0, 8), at(8, 100)};
  LogCapture log_;
};

TEST_F(MigratorTest, MovesPagesThatAreElsewhere) {
  params_.target_nid = 1;
  calls_.nodes[2] = 1;
  calls_.nodes[3] = 3;
  calls_.nodes.erase(4);
  EXPECT_THAT(migrate({at(0, 3), at(3, 6)}), ElementsAre(0, 1, 3, 5));
  EXPECT_EQ(calls_.nodes[3], 1);
  EXPECT_EQ(calls_.nodes[6], 0);
  EXPECT_THAT(migrate({at(0, 6)}), IsEmpty());
  EXPECT_EQ(calls_.nr_moves, 1) << "nothing to move is not asked for";
}

TEST_F(MigratorTest, CountsWhatIsThereAfterwards) {
  params_.target_nid = 1;
  calls_.stuck = {3};
  calls_.busy = {1, 2};
  EXPECT_THAT(migrate({at(0, 6)}), ElementsAre(0, 1, 2, 4, 5));
}

TEST_F(MigratorTest, ADryRunTellsButMovesNot) {
  params_.target_nid = 1;
  calls_.nodes[2] = 1;
  EXPECT_THAT(migrate({at(0, 4)}, true), ElementsAre(0, 1, 3));
  EXPECT_EQ(calls_.nr_moves, 0);
}

TEST_F(MigratorTest, NodesWithoutMemoryGetNothing) {
  for (const int nid : {2, 4, 100000, -1}) {
    params_.target_nid = nid;
    EXPECT_THAT(migrate(), IsEmpty()) << nid;
    EXPECT_THAT(migrate({at(0, 4)}, true), IsEmpty()) << nid;
  }
  EXPECT_EQ(calls_.nr_moves, 0);
  ASSERT_FALSE(log_.lines().empty());
  EXPECT_THAT(log_.lines()[0], HasSubstr("node 2"));
}

// Private memory counts from address 0: kBase is page 0x7f1200 * 256, a multiple of 4.
TEST_F(MigratorTest, SharesOutByWeight) {
  params_.dests = {{.id = 1, .weight = 3}, {.id = 3, .weight = 1}};
  EXPECT_THAT(migrate({at(0, 8)}), SizeIs(8));
  for (const uint64_t page : {0, 1, 2, 4, 5, 6}) EXPECT_EQ(calls_.nodes[page], 1) << page;
  for (const uint64_t page : {3, 7}) EXPECT_EQ(calls_.nodes[page], 3) << page;
}

// File mappings count from their offset in the file: here page 1.
TEST_F(MigratorTest, SharesOutByOffsetInTheFile) {
  system_.set_maps("7f120000000-7f120008000 r--p 00001000 fe:00 77 /a\n");
  params_.dests = {{.id = 1, .weight = 3}, {.id = 3, .weight = 1}};
  migrate({at(0, 16)});
  for (const uint64_t page : {2, 6}) EXPECT_EQ(calls_.nodes[page], 3) << page;
  for (const uint64_t page : {0, 1, 3, 4, 5, 7}) EXPECT_EQ(calls_.nodes[page], 1) << page;
  for (const uint64_t page : {11, 15}) EXPECT_EQ(calls_.nodes[page], 3) << "private: " << page;
}

// Four pages in one folio go together, counted as one.
TEST_F(MigratorTest, SharesOutWholeFolios) {
  for (uint64_t page = 0; page < 16; ++page) {
    system_.set_flags(kFrame + page,
                      page % 4 == 0 ? frame_flags::kCompoundHead : frame_flags::kCompoundTail);
  }
  params_.dests = {{.id = 1, .weight = 1}, {.id = 3, .weight = 1}};
  EXPECT_THAT(migrate({at(1, 8)}), SizeIs(7));
  // Folios number 0x7f1200 * 64 + n of the address space; the second mapping starts at a folio.
  for (const uint64_t page : {1, 2, 3}) EXPECT_EQ(calls_.nodes[page], 1) << page;
  for (const uint64_t page : {4, 5, 6, 7}) EXPECT_EQ(calls_.nodes[page], 3) << page;
}

TEST_F(MigratorTest, ADestinationWithoutMemoryKeepsItsShareWhereItIs) {
  params_.dests = {{.id = 2, .weight = 1}, {.id = 3, .weight = 1}};
  EXPECT_THAT(migrate({at(0, 4)}), ElementsAre(1, 3));
  EXPECT_THAT(log_.lines(), SizeIs(1));
}

TEST_F(MigratorTest, WeightsThatSumToZeroMoveNothing) {
  params_.dests = {{.id = 1, .weight = 0}, {.id = 3, .weight = 0}};
  EXPECT_THAT(migrate(), IsEmpty());
  EXPECT_THAT(log_.lines(), SizeIs(1));
}

TEST_F(MigratorTest, ErrorsAreWarnedOfAndNothingCounts) {
  params_.target_nid = 1;
  calls_.error = EPERM;
  EXPECT_THAT(migrate(), IsEmpty());
  ASSERT_THAT(log_.lines(), SizeIs(1));
  EXPECT_THAT(log_.lines()[0], HasSubstr("Operation not permitted"));
  // Of one that is still there it is worth a line.
  calls_.error = ESRCH;
  EXPECT_THAT(migrate(), IsEmpty());
  ASSERT_THAT(log_.lines(), SizeIs(2));
  EXPECT_THAT(log_.lines()[1], HasSubstr("No such process"));
}

TEST_F(MigratorTest, AProcessThatIsGoneIsNotTouched) {
  MemoryChild child([] { return map_private(1); });
  const auto process = child.process();
  auto info = ProcessPages::open(*process, frames_);
  child.end();
  params_.target_nid = 1;
  Migrator migrator(calls_, system_.paths(), frames_);
  const RangeList pages = {at(0, 4)};
  EXPECT_THAT(migrator.migrate(params_, *process, *info, mappings_, pages, false), IsEmpty());
  EXPECT_EQ(calls_.nr_moves, 0);
}

// On any machine: all pages are on node 0 if that is the only one.
TEST(RealMigrator, MovesBetweenNodes) {
  const MemoryChild child([] {
    char* memory = map_private(64);
    touch(memory, 0, 32);
    return memory;
  });
  ActionCalls calls;
  Kpageflags frames{Paths()};
  Migrator migrator(calls, Paths(), frames);
  const auto process = child.process();
  auto info = ProcessPages::open(*process, frames);
  const RangeList pages = {child.pages(0, 32)};
  SchemeParams params;
  params.target_nid = 0;
  RangeList moved = migrator.migrate(params, *process, *info, pages, pages, false);
  EXPECT_THAT(migrator.migrate(params, *process, *info, pages, pages, false), IsEmpty());
  if (!std::filesystem::exists("/sys/devices/system/node/node1")) {
    GTEST_SKIP() << "this machine has one node: moving is tested in the laboratory (--numa 2)";
  }
  params.target_nid = 1;
  EXPECT_EQ(migrator.migrate(params, *process, *info, pages, pages, true), pages);
  EXPECT_EQ(migrator.migrate(params, *process, *info, pages, pages, false), pages);
  EXPECT_THAT(migrator.migrate(params, *process, *info, pages, pages, false), IsEmpty());
  params.dests = {{.id = 0, .weight = 1}, {.id = 1, .weight = 3}};
  moved = migrator.migrate(params, *process, *info, pages, pages, false);
  EXPECT_EQ(total_size(moved), 8 * kPageSize);
}

}  // namespace
}  // namespace damonfs
