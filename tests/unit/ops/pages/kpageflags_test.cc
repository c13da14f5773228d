#include "ops/pages/kpageflags.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "core/base/page_size.h"
#include "tests/unit/ops/temp_tree.h"

namespace damonfs {
namespace {

using namespace frame_flags;

const uint64_t kHugePage = PageSize::of_kernel() * 512;

class KpageflagsTest : public testing::Test {
 protected:
  void set(uint64_t pfn, uint64_t flags) const { tree_.put_number("proc/kpageflags", pfn, flags); }
  // Makes 2^order frames from `head` one page on the LRU lists.
  void set_compound(uint64_t head, unsigned order, uint64_t flags = kLru) const {
    set(head, kCompoundHead | flags);
    for (uint64_t i = 1; i < uint64_t{1} << order; ++i) set(head + i, kCompoundTail);
  }

  Kpageflags open() const {
    set(0, 0);
    return Kpageflags(tree_.paths());
  }

  TempTree tree_;
  Kpageflags flags_ = open();
};

TEST_F(KpageflagsTest, NeedsItsFile) {
  const TempTree empty;
  EXPECT_EQ(ENOENT, Kpageflags(empty.paths()).open());
}

TEST_F(KpageflagsTest, SmallPageStandsForItself) {
  set(1000, kLru);
  const auto folio = flags_.guess(1000, 3);
  EXPECT_EQ(1000U, folio.head);
  EXPECT_EQ(kPageSize, folio.size());
  EXPECT_TRUE(flags_.confirm(1000, folio));
}

TEST_F(KpageflagsTest, SmallPageThatLiesLikeAHugeOne) {
  set(5 * 512 + 7, kLru);
  const auto folio = flags_.guess(5 * 512 + 7, 9 * 512 + 7);
  EXPECT_EQ(5U * 512 + 7, folio.head);
  EXPECT_EQ(kPageSize, folio.size());
  EXPECT_TRUE(folio.on_lru());
}

TEST_F(KpageflagsTest, PageOffTheListsIsNotConfirmed) {
  set(1000, 0);
  EXPECT_FALSE(flags_.confirm(1000, flags_.guess(1000, 3)));
  EXPECT_FALSE(flags_.confirm(99999, flags_.guess(99999, 3))) << "above all memory";
  const auto folio = flags_.guess(512 + 3, 3);
  EXPECT_FALSE(folio.on_lru());
}

TEST_F(KpageflagsTest, HugePageIsFoundAtOnce) {
  set_compound(4 * 512, 9);
  for (const uint64_t offset : {300U, 1U, 511U, 256U, 0U}) {
    const auto folio = flags_.guess(4 * 512 + offset, 8 * 512 + offset);
    EXPECT_EQ(4U * 512, folio.head) << offset;
    EXPECT_EQ(kHugePage, folio.size()) << offset;
    EXPECT_TRUE(folio.on_lru() || flags_.confirm(4 * 512 + offset, folio)) << offset;
  }
}

TEST_F(KpageflagsTest, HugePageOffTheLists) {
  set_compound(4 * 512, 9, 0);
  const auto folio = flags_.guess(4 * 512 + 5, 5);
  EXPECT_EQ(kHugePage, folio.size());
  EXPECT_FALSE(folio.on_lru() || flags_.confirm(4 * 512 + 5, folio));
}

TEST_F(KpageflagsTest, FindsOutThatAHugePageWasSplit) {
  set_compound(4 * 512, 9);
  ASSERT_EQ(kHugePage, flags_.guess(4 * 512 + 5, 5).size());
  for (uint64_t i = 0; i < 512; ++i) set(4 * 512 + i, kLru);
  const auto stale = flags_.guess(4 * 512 + 6, 6);
  EXPECT_EQ(kHugePage, stale.size()) << "remembered";
  EXPECT_FALSE(flags_.confirm(4 * 512 + 6, stale));
  EXPECT_EQ(kPageSize, flags_.guess(4 * 512 + 6, 6).size());
}

TEST_F(KpageflagsTest, ForgetsAfterAWhile) {
  set_compound(4 * 512, 9);
  ASSERT_EQ(kHugePage, flags_.guess(4 * 512 + 5, 5).size());
  for (uint64_t i = 0; i < 512; ++i) set(4 * 512 + i, kLru);
  for (int i = 0; i < 1000; ++i) flags_.tick();
  EXPECT_EQ(kPageSize, flags_.guess(4 * 512 + 6, 6).size());
}

TEST_F(KpageflagsTest, LearnsOfSmallerCompoundPages) {
  set_compound(4 * 512 + 16, 4);
  set_compound(4 * 512 + 32, 5);
  const auto wrong = flags_.guess(4 * 512 + 21, 100);
  EXPECT_EQ(4U * 512 + 21, wrong.head);
  EXPECT_FALSE(flags_.confirm(4 * 512 + 21, wrong));
  const auto right = flags_.guess(4 * 512 + 21, 100);
  EXPECT_EQ(4U * 512 + 16, right.head);
  EXPECT_TRUE(right.on_lru());
  const auto neighbour = flags_.guess(4 * 512 + 63, 200);
  EXPECT_EQ(4U * 512 + 32, neighbour.head);
  EXPECT_EQ(32U * kPageSize, neighbour.size());
  const auto head = flags_.guess(4 * 512 + 32, 200);
  EXPECT_EQ(4U * 512 + 32, head.head);
}

TEST_F(KpageflagsTest, SmallerCompoundPageThatLiesLikeAHugeOne) {
  set_compound(4 * 512 + 64, 6);
  const auto folio = flags_.guess(4 * 512 + 100, 100);
  EXPECT_EQ(4U * 512 + 64, folio.head);
  EXPECT_LE(folio.size(), 64U * kPageSize);
  EXPECT_TRUE(folio.on_lru());
}

TEST_F(KpageflagsTest, CompoundPageWithoutHeadIsNotOnTheLists) {
  for (uint64_t i = 0; i < 512; ++i) set(4 * 512 + i, kCompoundTail | kLru);
  const auto folio = flags_.guess(4 * 512 + 100, 100);
  EXPECT_FALSE(folio.on_lru() || flags_.confirm(4 * 512 + 100, folio));
}

}  // namespace
}  // namespace damonfs
