#include "core/ranges.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/core/fake_operations.h"

namespace damonfs {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

AddrRange r(uint64_t start, uint64_t end) { return {start, end}; }

TEST(Ranges, AppendJoinsWhatTouches) {
  RangeList list;
  append_joined(list, r(1, 3));
  append_joined(list, r(3, 4));
  append_joined(list, r(5, 5));
  append_joined(list, r(6, 7));
  EXPECT_THAT(list, ElementsAre(r(1, 4), r(6, 7)));
}

TEST(Ranges, AppendMergesWhatOverlaps) {
  RangeList list;
  append_merged(list, r(1, 3));
  append_merged(list, r(2, 4));
  append_merged(list, r(2, 3));
  append_merged(list, r(4, 5));
  append_merged(list, r(6, 7));
  EXPECT_THAT(list, ElementsAre(r(1, 5), r(6, 7)));
}

TEST(Ranges, IntersectionKeepsTheBordersOfBoth) {
  const RangeList regions = {r(0, 10), r(10, 20), r(30, 40)};
  const RangeList mappings = {r(5, 12), r(12, 35)};
  EXPECT_THAT(intersect(regions, mappings), ElementsAre(r(5, 10), r(10, 12), r(12, 20), r(30, 35)));
  EXPECT_THAT(intersect(mappings, regions), ElementsAre(r(5, 10), r(10, 12), r(12, 20), r(30, 35)));
  EXPECT_THAT(intersect(regions, {}), IsEmpty());
}

TEST(Ranges, Subtraction) {
  const RangeList all = {r(0, 10), r(20, 30), r(30, 40)};
  EXPECT_THAT(subtract(all, RangeList{r(0, 10)}), ElementsAre(r(20, 30), r(30, 40)));
  EXPECT_THAT(subtract(all, RangeList{r(3, 4), r(8, 25), r(39, 50)}),
              ElementsAre(r(0, 3), r(4, 8), r(25, 30), r(30, 39)));
  EXPECT_THAT(subtract(all, RangeList{r(0, 100)}), IsEmpty());
  EXPECT_THAT(subtract(all, {}), ElementsAre(r(0, 10), r(20, 30), r(30, 40)));
  EXPECT_THAT(subtract({}, all), IsEmpty());
}

TEST(Ranges, UnionOfDisjointLists) {
  EXPECT_THAT(unite(RangeList{r(0, 1), r(4, 5)}, RangeList{r(1, 2), r(9, 10)}),
              ElementsAre(r(0, 2), r(4, 5), r(9, 10)));
}

TEST(Ranges, UnionOfListsThatOverlap) {
  EXPECT_THAT(unite(RangeList{r(0, 4), r(8, 9)}, RangeList{r(1, 2), r(3, 6), r(7, 12)}),
              ElementsAre(r(0, 6), r(7, 12)));
  EXPECT_THAT(unite(RangeList{r(0, 9)}, RangeList{r(0, 9)}), ElementsAre(r(0, 9)));
}

TEST(Ranges, TouchingKeepsWholeRanges) {
  EXPECT_THAT(touching(RangeList{r(0, 10), r(10, 20), r(20, 30)}, RangeList{r(9, 10), r(25, 26)}),
              ElementsAre(r(0, 10), r(20, 30)));
}

TEST(Ranges, JoiningOverGaps) {
  const RangeList list = {r(0, 1), r(1, 2), r(4, 5), r(8, 9)};
  EXPECT_THAT(join(list), ElementsAre(r(0, 2), r(4, 5), r(8, 9)));
  EXPECT_THAT(join(list, 2), ElementsAre(r(0, 5), r(8, 9)));
}

TEST(Ranges, Shrinking) {
  EXPECT_EQ(shrink_to(r(5, 35), 10), r(10, 30));
  EXPECT_EQ(shrink_to(r(10, 20), 10), r(10, 20));
  EXPECT_EQ(shrink_to(r(11, 29), 10).size(), 0);
  EXPECT_EQ(shrink_to(r(UINT64_MAX - 5, UINT64_MAX), 4096).size(), 0);
}

TEST(Ranges, Windows) {
  EXPECT_THAT(by_window(RangeList{r(1, 3), r(5, 25), r(40, 41), r(42, 50)}, 10),
              ElementsAre(ElementsAre(r(1, 3), r(5, 10)), ElementsAre(r(10, 20)),
                          ElementsAre(r(20, 25)), ElementsAre(r(40, 41), r(42, 50))));
}

TEST(Ranges, TotalSize) { EXPECT_EQ(total_size(RangeList{r(1, 3), r(3, 10)}), 9); }

}  // namespace
}  // namespace damonfs
