#include "ops/idle/idle_frame_sweeper.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <vector>

#include "core/base/page_size.h"
#include "core/context.h"
#include "tests/unit/ops/idle/idle_files.h"

namespace damonfs {
namespace {

using namespace frame_flags;
using Runs = std::vector<SweptRun>;

SweptRun frames(uint64_t first, uint64_t end, AccessState state) {
  return {{first * kPageSize, end * kPageSize}, state};
}

// Reading does not find accesses by itself, as the kernel does.
class IdleFrameSweeperTest : public IdleFiles {
 protected:
  static constexpr uint64_t kEnd = 20000;  // frames of the machine

  IdleFrameSweeperTest() {
    tree_.put_number(kIdleBitmapFile, kEnd / 64, 0);
    tree_.put_number(kPageFlagsFile, kEnd - 1, 0);
  }
  void add_folio(uint64_t head, uint64_t nr_pages, uint64_t flags = kLru | kMapped) const {
    set_flags(head, flags | kCompoundHead);
    for (uint64_t i = 1; i < nr_pages; ++i) set_flags(head + i, kCompoundTail);
  }
  Runs sweep(AddrRange range = {0, uint64_t{1} << 50}, SweepMode mode = SweepMode::make_old) {
    Runs runs;
    cost_ = {};
    while (range.start < range.end) {
      const auto piece = sweeper_.sweep(target_, range, mode, runs);
      EXPECT_TRUE(piece) << piece.error().message;
      if (!piece) break;
      EXPECT_GT(piece->next, range.start);
      range.start = piece->next;
      cost_ += piece->cost;
    }
    return runs;
  }

  RegionPool pool_;
  Target target_{pool_, nullptr};
  IdleFrameSweeper sweeper_{tree_.paths()};
  SweepCost cost_;
};

// Frames that lie in one word of the bitmap each: the kernel leaves bits alone that are not set in
// what is written, a plain file does not.
TEST_F(IdleFrameSweeperTest, TellsAccessedFromIdleUnknownAndNobodys) {
  set_flags(1001, kLru);
  set_flags(1101, kLru | kMapped);
  set_flags(1201, 0);        // the kernel's, or free
  set_flags(1301, kMapped);  // on no list yet
  set_flags(1401, kLru);
  EXPECT_EQ(
      sweep(),
      (Runs{frames(1001, 1002, AccessState::accessed), frames(1101, 1102, AccessState::accessed),
            frames(1301, 1302, AccessState::unknown), frames(1401, 1402, AccessState::accessed)}));
  EXPECT_EQ(cost_.pages_read, 4U);
  EXPECT_EQ(cost_.pages_made_old, 3U);
  EXPECT_TRUE(is_marked(1001) && is_marked(1101) && is_marked(1401));
  EXPECT_FALSE(is_marked(1201) || is_marked(1301));
  access(1101);
  const Runs expected{
      frames(1001, 1002, AccessState::not_accessed), frames(1101, 1102, AccessState::accessed),
      frames(1301, 1302, AccessState::unknown), frames(1401, 1402, AccessState::not_accessed)};
  EXPECT_EQ(sweep({0, uint64_t{1} << 50}, SweepMode::look), expected);
  EXPECT_EQ(cost_.pages_made_old, 0U);
  EXPECT_EQ(sweep(), expected);
  EXPECT_EQ(cost_.pages_made_old, 1U);
  EXPECT_EQ(sweep()[1], frames(1101, 1102, AccessState::not_accessed));
}

TEST_F(IdleFrameSweeperTest, AFolioIsToldOnceWhereItBegins) {
  add_folio(1024, 512);
  add_folio(3040, 16);  // beyond what is asked at once from frame 1000 on
  const auto bytes = [](uint64_t first, uint64_t last) {
    return AddrRange{first * kPageSize, last * kPageSize};
  };
  sweep(bytes(1000, kEnd));
  access(1024);
  access(3040);
  EXPECT_TRUE(sweep(bytes(1200, 1400)).empty()) << "it begins below";
  EXPECT_EQ(sweep(bytes(1000, 1100)), (Runs{frames(1024, 1536, AccessState::accessed)}));
  EXPECT_FALSE(is_marked(1100)) << "a tail has no mark";
  EXPECT_EQ(sweep(bytes(1000, kEnd)), (Runs{frames(1024, 1536, AccessState::not_accessed),
                                            frames(3040, 3056, AccessState::accessed)}));
  EXPECT_EQ(cost_.pages_read, 2U);
}

TEST_F(IdleFrameSweeperTest, OnlyTheRangeIsSwept) {
  for (uint64_t frame = 3000; frame < 9000; ++frame) set_flags(frame, kLru);
  sweep();
  for (uint64_t frame = 3000; frame < 9000; ++frame) access(frame);
  EXPECT_EQ(sweep({4992 * kPageSize, 8000 * kPageSize}),
            (Runs{frames(4992, 8000, AccessState::accessed)}));
  EXPECT_EQ(sweep(), (Runs{frames(3000, 4992, AccessState::accessed),
                           frames(4992, 8000, AccessState::not_accessed),
                           frames(8000, 9000, AccessState::accessed)}));
}

TEST_F(IdleFrameSweeperTest, SaysWhatTheKernelLacks) {
  const TempTree empty;
  IdleFrameSweeper none(empty.paths());
  Runs runs;
  EXPECT_EQ(none.sweep(target_, {0, kPageSize}, SweepMode::look, runs).error().code, ENOSYS);
}

}  // namespace
}  // namespace damonfs
