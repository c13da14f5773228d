#include "ops/idle/idle_sweeper.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "core/context.h"
#include "ops/pages/kpageflags.h"
#include "ops/procfs/process.h"
#include "tests/unit/ops/idle/idle_files.h"
#include "tests/unit/ops/vaddr/vaddr_actions_fixtures.h"

namespace damonfs {
namespace {

using namespace frame_flags;
using Runs = std::vector<SweptRun>;

constexpr AddrRange kEverything{0, uint64_t{1} << 47};
constexpr uint64_t kHugeFrames = 512;

SweptRun run_of(uint64_t first, uint64_t end, AccessState state) {
  return {{first * kPageSize, end * kPageSize}, state};
}

class IdleSweeperTest : public IdleFiles {
 protected:
  IdleSweeperTest() {
    tree_.put_number(kIdleBitmapFile, 0, 0);
    tree_.put_number(kPageFlagsFile, 0, 0);
    tree_.make_folder(TempTree::of_process(::getpid(), ""));
    // Pages 100 to 199 and 512 to 1535.
    tree_.write(TempTree::of_process(::getpid(), "maps"),
                "64000-c8000 rw-p 00000000 00:00 0 \n200000-600000 rw-p 00000000 00:00 0 \n");
    tree_.put_number(TempTree::of_process(::getpid(), "pagemap"), 2000, 0);
    target_ = &context_.add_target(*Process::open(::getpid(), tree_.paths()));
    sweeper_.emplace(tree_.paths());
  }
  void back(uint64_t page, uint64_t pfn, uint64_t flags = kLru) const {
    tree_.put_number(TempTree::of_process(::getpid(), "pagemap"), page, kPresent | pfn);
    set_flags(pfn, flags);
  }
  Runs sweep(AddrRange range = kEverything, SweepMode mode = SweepMode::make_old) {
    Runs runs;
    cost_ = {};
    while (range.start < range.end) {
      const auto piece = sweeper_->sweep(*target_, range, mode, runs);
      EXPECT_TRUE(piece) << piece.error().message;
      if (!piece) break;
      EXPECT_GT(piece->next, range.start);
      range.start = piece->next;
      cost_ += piece->cost;
    }
    return runs;
  }

  Context context_{OpsId::vaddr, nullptr, 1};
  Target* target_ = nullptr;
  std::optional<IdleSweeper> sweeper_;
  SweepCost cost_;
};

// Frames that lie in one word of the bitmap each: the kernel leaves bits alone that are not set in
// what is written, a plain file does not.
TEST_F(IdleSweeperTest, TellsAccessedFromIdleAndUnknown) {
  back(100, 1001);
  back(101, 1102);
  back(103, 1204);
  back(104, 1400, 0);  // on no list: cannot be marked
  tree_.put_number(kIdleBitmapFile, 1400 / 64, 0);
  EXPECT_EQ(sweep().size(), 3U);
  access(1102);
  access(1400);
  const Runs expected{
      run_of(100, 101, AccessState::not_accessed), run_of(101, 102, AccessState::accessed),
      run_of(103, 104, AccessState::not_accessed), run_of(104, 105, AccessState::unknown)};
  EXPECT_EQ(sweep(kEverything, SweepMode::look), expected);
  EXPECT_EQ(cost_.pages_made_old, 0U);
  EXPECT_EQ(sweep(), expected);
  EXPECT_EQ(cost_.pages_read, 4U);
  EXPECT_EQ(cost_.pages_made_old, 1U);
  access(1400);
  EXPECT_EQ(sweep()[0], run_of(100, 102, AccessState::not_accessed));
}

TEST_F(IdleSweeperTest, OnlyTheRangeIsSwept) {
  for (uint64_t page = 100; page < 110; ++page) back(page, 1000 + page);
  sweep();
  for (uint64_t page = 100; page < 110; ++page) access(1000 + page);
  EXPECT_EQ(sweep({103 * kPageSize, 105 * kPageSize}),
            Runs{run_of(103, 105, AccessState::accessed)});
  const Runs expected{run_of(100, 103, AccessState::accessed),
                      run_of(103, 105, AccessState::not_accessed),
                      run_of(105, 110, AccessState::accessed)};
  EXPECT_EQ(sweep(), expected);
}

TEST_F(IdleSweeperTest, AHugePageIsReportedOnceAndWhole) {
  for (uint64_t i = 0; i < kHugeFrames; ++i)
    back(512 + i, 5 * kHugeFrames + i, i == 0 ? kCompoundHead | kLru : kCompoundTail);
  sweep();
  access(5 * kHugeFrames);
  EXPECT_TRUE(sweep({600 * kPageSize, 700 * kPageSize}).empty());
  EXPECT_EQ(sweep({512 * kPageSize, 513 * kPageSize}),
            Runs{run_of(512, 1024, AccessState::accessed)});
  EXPECT_EQ(cost_.pages_read, 1U);
}

TEST_F(IdleSweeperTest, SaysWhatTheKernelLacksAndWhenTheProcessHasNothing) {
  const TempTree empty;
  IdleSweeper none(empty.paths());
  Runs runs;
  EXPECT_EQ(none.sweep(*target_, kEverything, SweepMode::look, runs).error().code, ENOSYS);
  tree_.write(TempTree::of_process(::getpid(), "maps"), "");
  EXPECT_EQ(sweeper_->sweep(*target_, kEverything, SweepMode::look, runs).error().code, ESRCH);
}

}  // namespace
}  // namespace damonfs
