#include "core/sweep_runs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/unit/core/fake_operations.h"

namespace damonfs {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr AccessState kHot = AccessState::accessed;
constexpr AccessState kIdle = AccessState::not_accessed;
constexpr AccessState kUnknown = AccessState::unknown;

SweptRun run(uint64_t first, uint64_t last, AccessState state) {
  return {pages(first, last), state};
}

TEST(SweepRuns, WhatIsNotResidentIsNotAccessed) {
  EXPECT_THAT(
      cover(pages(0, 10), std::vector{run(2, 4, kHot), run(4, 5, kUnknown)}),
      ElementsAre(run(0, 2, kIdle), run(2, 4, kHot), run(4, 5, kUnknown), run(5, 10, kIdle)));
  EXPECT_THAT(cover(pages(0, 10), {}), ElementsAre(run(0, 10, kIdle)));
  EXPECT_THAT(cover(pages(3, 3), {}), IsEmpty());
}

TEST(SweepRuns, NeighboursThatSayTheSameAreOne) {
  EXPECT_THAT(cover(pages(0, 10), std::vector{run(2, 4, kIdle), run(6, 8, kIdle)}),
              ElementsAre(run(0, 10, kIdle)));
}

// A huge page at the end of what was swept reaches beyond it.
TEST(SweepRuns, WhatLiesBeyondTheSweptRangeIsLeftOut) {
  EXPECT_THAT(cover(pages(4, 8), std::vector{run(0, 5, kHot), run(6, 20, kHot)}),
              ElementsAre(run(4, 5, kHot), run(5, 6, kIdle), run(6, 8, kHot)));
}

TEST(SweepRuns, AccessedBeforeIsAccessed) {
  const std::vector now{run(0, 10, kIdle), run(10, 12, kHot), run(12, 20, kUnknown),
                        run(30, 40, kIdle)};
  const std::vector before{run(0, 2, kUnknown), run(2, 4, kHot), run(9, 14, kHot),
                           run(20, 31, kHot), run(39, 99, kHot)};
  EXPECT_THAT(
      with_accessed_of(now, before),
      ElementsAre(run(0, 2, kIdle), run(2, 4, kHot), run(4, 9, kIdle), run(9, 14, kHot),
                  run(14, 20, kUnknown), run(30, 31, kHot), run(31, 39, kIdle), run(39, 40, kHot)));
  EXPECT_THAT(with_accessed_of(now, {}), testing::ElementsAreArray(now));
  EXPECT_THAT(with_accessed_of({}, before), IsEmpty());
}

TEST(SweepRuns, ABorderIsWhereNeighboursDiffer) {
  EXPECT_EQ(nr_borders({}), 0);
  EXPECT_EQ(nr_borders(std::vector{run(0, 2, kHot), run(2, 4, kIdle), run(5, 6, kHot)}), 1);
  EXPECT_EQ(nr_borders(std::vector{run(0, 2, kHot), run(2, 4, kIdle), run(4, 6, kHot)}), 2);
}

TEST(SweepRuns, FewBordersStayAsTheyAre) {
  const std::vector runs{run(0, 2, kHot), run(2, 3, kIdle), run(3, 6, kHot)};
  EXPECT_THAT(simplify(runs, 2, kPage), testing::ElementsAreArray(runs));
}

TEST(SweepRuns, TheSmallestGapsAreFilledFirst) {
  const std::vector runs{run(0, 10, kHot),   run(10, 11, kIdle), run(11, 20, kHot),
                         run(20, 28, kIdle), run(28, 30, kHot),  run(30, 32, kIdle),
                         run(32, 40, kHot)};
  EXPECT_THAT(simplify(runs, 4, kPage),
              ElementsAre(run(0, 20, kHot), run(20, 28, kIdle), run(28, 30, kHot),
                          run(30, 32, kIdle), run(32, 40, kHot)));
  EXPECT_THAT(simplify(runs, 3, kPage),
              ElementsAre(run(0, 20, kHot), run(20, 28, kIdle), run(28, 40, kHot)));
  EXPECT_THAT(simplify(runs, 0, kPage), ElementsAre(run(0, 40, kHot)));
}

// Of two neighbours the hotter one takes over: accessed, unknown, not accessed.
TEST(SweepRuns, NothingBecomesColder) {
  EXPECT_THAT(simplify({run(0, 9, kIdle), run(9, 10, kHot), run(10, 20, kIdle)}, 0, kPage),
              ElementsAre(run(0, 20, kHot)));
  EXPECT_THAT(simplify({run(0, 9, kUnknown), run(9, 10, kIdle), run(10, 20, kUnknown)}, 0, kPage),
              ElementsAre(run(0, 20, kUnknown)));
  EXPECT_THAT(simplify({run(0, 1, kUnknown), run(1, 20, kHot)}, 0, kPage),
              ElementsAre(run(0, 20, kHot)));
}

TEST(SweepRuns, RunsThatDoNotTouchStayApart) {
  EXPECT_THAT(simplify({run(0, 1, kIdle), run(2, 3, kHot), run(3, 4, kIdle)}, 0, kPage),
              ElementsAre(run(0, 1, kIdle), run(2, 4, kHot)));
}

}  // namespace
}  // namespace damonfs
