#include "ops/vaddr/three_regions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <random>
#include <vector>

namespace damonfs {
namespace {

using testing::ElementsAre;

std::vector<AddrRange> three(const std::vector<AddrRange>& mappings) {
  const auto found = find_three_regions(mappings);
  if (!found) {
    EXPECT_EQ(EINVAL, found.error().code);
    return {};
  }
  return {found->begin(), found->end()};
}

TEST(ThreeRegionsTest, LeavesOutTheTwoBiggestGaps) {
  EXPECT_THAT(three({{10, 20}, {20, 25}, {200, 210}, {210, 220}, {300, 305}, {307, 330}}),
              ElementsAre(AddrRange{10, 25}, AddrRange{200, 220}, AddrRange{300, 330}));
}

TEST(ThreeRegionsTest, CoversSmallGaps) {
  EXPECT_THAT(three({{0, 1}, {2, 3}, {10, 11}, {13, 14}, {30, 31}}),
              ElementsAre(AddrRange{0, 3}, AddrRange{10, 14}, AddrRange{30, 31}));
}

TEST(ThreeRegionsTest, SecondGapMayLieBelowTheBiggest) {
  EXPECT_THAT(three({{0, 1}, {11, 12}, {32, 33}}),
              ElementsAre(AddrRange{0, 1}, AddrRange{11, 12}, AddrRange{32, 33}));
}

TEST(ThreeRegionsTest, OfEqualGapsTheLowerOnesCount) {
  EXPECT_THAT(three({{0, 1}, {6, 7}, {12, 13}, {18, 19}}),
              ElementsAre(AddrRange{0, 1}, AddrRange{6, 7}, AddrRange{12, 19}));
  // A bigger one behind them takes the place of the second.
  EXPECT_THAT(three({{0, 1}, {6, 7}, {12, 13}, {19, 20}}),
              ElementsAre(AddrRange{0, 1}, AddrRange{6, 13}, AddrRange{19, 20}));
}

TEST(ThreeRegionsTest, UsualProcess) {
  EXPECT_THAT(three({{0x55d0c2a00000, 0x55d0c2a21000},
                     {0x55d0c3000000, 0x55d0c3100000},
                     {0x7f1a00000000, 0x7f1a00021000},
                     {0x7f1a10000000, 0x7f1a10200000},
                     {0x7ffc2bf00000, 0x7ffc2bf21000}}),
              ElementsAre(AddrRange{0x55d0c2a00000, 0x55d0c3100000},
                          AddrRange{0x7f1a00000000, 0x7f1a10200000},
                          AddrRange{0x7ffc2bf00000, 0x7ffc2bf21000}));
}

TEST(ThreeRegionsTest, NeedsTwoGaps) {
  EXPECT_TRUE(three({}).empty());
  EXPECT_TRUE(three({{0, 10}}).empty());
  EXPECT_TRUE(three({{0, 10}, {20, 30}}).empty());
  EXPECT_TRUE(three({{0, 10}, {10, 20}, {20, 30}, {40, 50}}).empty());
  EXPECT_FALSE(three({{0, 10}, {11, 20}, {21, 30}}).empty());
}

// Whatever the mappings are: the regions cover them all, and the holes between them are the two
// largest sizes among all gaps.
TEST(ThreeRegionsTest, CoversEverythingWhateverIsMapped) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 500; ++round) {
    std::vector<AddrRange> mappings;
    std::vector<uint64_t> gaps;
    uint64_t at = random() % 100;
    for (size_t i = 0; i < 3 + random() % 30; ++i) {
      const uint64_t gap = mappings.empty() ? 0 : random() % 20;
      if (gap > 0) gaps.push_back(gap);
      at += gap;
      const uint64_t size = 1 + random() % 10;
      mappings.push_back({at, at + size});
      at += size;
    }
    const auto regions = three(mappings);
    if (gaps.size() < 2) {
      EXPECT_TRUE(regions.empty());
      continue;
    }
    ASSERT_EQ(3U, regions.size());
    std::sort(gaps.rbegin(), gaps.rend());
    std::vector<uint64_t> holes{regions[1].start - regions[0].end,
                                regions[2].start - regions[1].end};
    std::sort(holes.rbegin(), holes.rend());
    EXPECT_THAT(holes, ElementsAre(gaps[0], gaps[1]));
    for (const AddrRange& mapping : mappings) {
      EXPECT_TRUE(std::any_of(regions.begin(), regions.end(), [&](const AddrRange& region) {
        return region.start <= mapping.start && mapping.end <= region.end;
      }));
    }
  }
}

}  // namespace
}  // namespace damonfs
