#include "ops/pte/spared_pages.h"

#include <gtest/gtest.h>

#include "core/base/page_size.h"

namespace damonfs {
namespace {

constexpr uint64_t kTable = uint64_t{2} << 20;
constexpr ClearPlan kBoth{.anon = true, .file = true};
constexpr ClearPlan kAnon{.anon = true, .file = false};
constexpr ClearPlan kFile{.anon = false, .file = true};

EntrySet leaves_of(std::initializer_list<unsigned> leaves) {
  EntrySet set;
  for (const unsigned leaf : leaves) set.set(leaf);
  return set;
}

// A table at 2 MiB with five pages, of which these are young.
LeafBlock table(std::initializer_list<unsigned> young) {
  LeafBlock block{.addr = kTable, .shift = kPageSize.shift()};
  block.resident = leaves_of({0, 1, 2, 3, 4});
  block.young = leaves_of(young);
  return block;
}

class SparedPagesTest : public testing::Test {
 protected:
  // A sweep that finds these leaves to be spared where it has to try.
  LeafBlock sweep(std::initializer_list<unsigned> young, const EntrySet& whole,
                  const EntrySet& noted = {}) {
    LeafBlock block = table(young);
    spared_.recall(block);
    block.whole = block.whole | (block.to_make_old() & whole);
    spared_.remember(block);
    spared_.judge(block, noted, true);
    return block;
  }
  void clear(std::initializer_list<unsigned> young, const ClearPlan& kinds) {
    const LeafBlock block = table(young);
    spared_.note_doubt(block);
    noted_ = spared_.not_reported(block);
    spared_.note_clearing(kinds);
  }

  SparedPages spared_;
  EntrySet noted_;
};

TEST_F(SparedPagesTest, AreUnknownUntilTheirKindWasCleared) {
  const EntrySet whole = leaves_of({1, 2});
  EXPECT_FALSE(spared_.any_whole());
  EXPECT_EQ(sweep({0, 1, 2}, whole).unknown, whole);
  EXPECT_TRUE(spared_.any_whole());
  EXPECT_EQ(sweep({0, 1, 2}, {}).unknown, whole) << "it is remembered";
  clear({0, 1, 2}, kBoth);
  EXPECT_EQ(noted_, leaves_of({0})) << "nobody knows when the others were accessed";
  EXPECT_EQ(sweep({2}, whole).unknown, leaves_of({1})) << "leaf 2 was accessed since";
  EXPECT_EQ(sweep({}, whole).unknown, EntrySet{});
}

TEST_F(SparedPagesTest, TellOfAnAccessOnce) {
  const EntrySet whole = leaves_of({1, 2});
  sweep({1, 2}, whole);
  clear({1, 2}, kBoth);
  sweep({}, whole);
  EXPECT_EQ(sweep({1}, whole).unknown, EntrySet{});
  EXPECT_EQ(sweep({1, 2}, whole).unknown, leaves_of({1})) << "it stays set";
  clear({1, 2}, kBoth);
  EXPECT_EQ(noted_, EntrySet{}) << "both were told";
  sweep({}, whole);
  clear({1}, kBoth);
  EXPECT_EQ(noted_, leaves_of({1}));
  EXPECT_EQ(sweep({1}, whole, noted_).unknown, EntrySet{});
}

TEST_F(SparedPagesTest, KindsAreToldApartByTheirMapping) {
  const EntrySet whole = leaves_of({1, 2, 3});
  sweep({1, 2, 3}, whole);
  spared_.set_files({{kTable + 2 * 4096, kTable + 3 * 4096}});
  clear({1, 2, 3}, kFile);
  EXPECT_EQ(sweep({1, 3}, whole).unknown, leaves_of({1, 2, 3}));
  EXPECT_EQ(sweep({1, 3}, whole).unknown, leaves_of({1, 3})) << "never cleared";
  clear({1, 3}, kAnon);
  EXPECT_EQ(sweep({}, whole).unknown, leaves_of({1, 3}));
  EXPECT_EQ(sweep({1, 2, 3}, whole).unknown, EntrySet{});
}

TEST_F(SparedPagesTest, AreTriedAgainNowAndThen) {
  sweep({1}, leaves_of({1}));
  int tries = 0;
  for (int i = 0; i < 20; ++i) {
    LeafBlock block = table({1});
    spared_.recall(block);
    tries += block.whole.any() ? 0 : 1;
    block.whole.set(1);
    spared_.remember(block);
  }
  EXPECT_EQ(tries, 2);
}

TEST_F(SparedPagesTest, OfHugeLeavesOneByOne) {
  LeafBlock block{.addr = kTable, .shift = 21};
  block.resident = block.young = leaves_of({0, 1, 2});
  block.whole = leaves_of({1});
  block.stuck = leaves_of({2});
  spared_.remember(block);
  LeafBlock part{.addr = 2 * kTable, .shift = 21};  // begins at what was leaf 1
  part.resident = part.young = leaves_of({0, 1});
  spared_.recall(part);
  EXPECT_EQ(part.whole, leaves_of({0}));
  EXPECT_EQ(part.unknown, leaves_of({1}));
}

}  // namespace
}  // namespace damonfs
