#include "fs/record/shared_pages.h"

#include <gtest/gtest.h>

namespace damonfs::test {
namespace {

RangeList pages(uint64_t first, uint64_t last) { return {{first << 12, last << 12}}; }

TEST(SharedPagesTest, WhatAnyProcessHasIsInMemory) {
  SharedPages shared;
  const AddrRange all{0, 100 << 12};
  EXPECT_EQ(shared.add("a", all, {}), 0);
  EXPECT_EQ(shared.add("a", all, pages(10, 20)), 10 << 12);
  EXPECT_EQ(shared.add("a", all, pages(15, 30)), 20 << 12) << "once";
  EXPECT_EQ(shared.add("b", all, pages(0, 1)), 1 << 12) << "another file";
  EXPECT_EQ(shared.add("a", {0, 12 << 12}, {}), 2 << 12) << "a mapping of a part";
}

TEST(SharedPagesTest, WhatNoneHasAnyMoreIsGoneAfterTwoRounds) {
  SharedPages shared;
  const AddrRange all{0, 100 << 12};
  EXPECT_EQ(shared.add("a", all, pages(0, 50)), 50 << 12);
  shared.next_round();
  EXPECT_EQ(shared.add("a", all, pages(0, 10)), 50 << 12) << "others may have it still";
  shared.next_round();
  EXPECT_EQ(shared.add("a", all, pages(0, 5)), 10 << 12);
  shared.next_round();
  shared.next_round();
  EXPECT_EQ(shared.add("a", all, {}), 0);
}

}  // namespace
}  // namespace damonfs::test
