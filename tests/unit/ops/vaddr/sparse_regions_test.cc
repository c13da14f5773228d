#include "ops/vaddr/sparse_regions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/units.h"

namespace damonfs {
namespace {

using testing::ElementsAre;

TEST(SparseRegions, ArePopulatedMemoryWithRoomWithinTheMappings) {
  const std::vector<AddrRange> mappings{{kGiB, 100 * kGiB}, {200 * kGiB, 201 * kGiB}};
  const std::vector<AddrRange> populated{{50 * kGiB, 50 * kGiB + 2 * kMiB},
                                         {200 * kGiB, 200 * kGiB + 4 * kMiB}};
  EXPECT_THAT(find_sparse_regions(mappings, populated, 10),
              ElementsAre(AddrRange{50 * kGiB - 64 * kMiB, 50 * kGiB + 66 * kMiB},
                          AddrRange{200 * kGiB, 200 * kGiB + 68 * kMiB}));
}

TEST(SparseRegions, NeighboursWhoseRoomMeetsAreOne) {
  const std::vector<AddrRange> mappings{{0, 100 * kGiB}};
  const std::vector<AddrRange> populated{{kGiB, kGiB + 2 * kMiB},
                                         {kGiB + 100 * kMiB, kGiB + 102 * kMiB}};
  EXPECT_THAT(find_sparse_regions(mappings, populated, 10),
              ElementsAre(AddrRange{kGiB - 64 * kMiB, kGiB + 166 * kMiB}));
}

TEST(SparseRegions, AreNoMoreThanAsked) {
  const std::vector<AddrRange> mappings{{0, 1000 * kGiB}};
  std::vector<AddrRange> populated;
  for (uint64_t i = 1; i <= 100; ++i) populated.push_back({i * kGiB, i * kGiB + 2 * kMiB});
  populated.push_back({900 * kGiB, 900 * kGiB + 2 * kMiB});
  EXPECT_EQ(find_sparse_regions(mappings, populated, 200).size(), 101U);
  EXPECT_THAT(find_sparse_regions(mappings, populated, 5),
              ElementsAre(AddrRange{kGiB - 64 * kMiB, 100 * kGiB + 66 * kMiB},
                          AddrRange{900 * kGiB - 64 * kMiB, 900 * kGiB + 66 * kMiB}));
  EXPECT_TRUE(find_sparse_regions(mappings, {}, 5).empty());
}

}  // namespace
}  // namespace damonfs
