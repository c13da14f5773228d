#include "ops/pte/page_bits.h"

#include <gtest/gtest.h>

#include <array>

#include "ops/pte/geometry.h"

namespace damonfs {
namespace {

constexpr uint64_t kPresent = 1;
constexpr uint64_t kAccessed = 1 << 5;
constexpr uint64_t kHugeBit = 1 << 7;
constexpr uint64_t kProtNone = 1 << 8;
constexpr uint64_t kSpecial = 1 << 9;
constexpr uint64_t kAddr = uint64_t{5} << 30;

using Table = std::array<__u64, SWEEP_ENTRIES>;

const Geometry kX86Tables = *Geometry::of("x86_64", PageSize(4096));
const pte_layout kX86Layout = kX86Tables.layout_for(47, 46);

LeafBlock read_x86(const Table& table, unsigned first, unsigned end) {
  return read_leaves(kX86Tables.format, kX86Layout, table, kAddr, first, end);
}

EntrySet set_of(std::initializer_list<unsigned> members) {
  EntrySet set;
  for (const unsigned member : members) set.set(member);
  return set;
}

TEST(EntrySetTest, FindsTheNextSetAndTheNextClear) {
  EntrySet set = set_of({0, 63, 64, 65, 511});
  EXPECT_EQ(set.next_set(0), 0U);
  EXPECT_EQ(set.next_set(1), 63U);
  EXPECT_EQ(set.next_set(66), 511U);
  EXPECT_EQ(set.next_set(512), 512U);
  EXPECT_EQ(set.next_clear(63), 66U);
  EXPECT_EQ(set.next_clear(511), 512U);
  EXPECT_EQ(set.count(), 5U);
}

TEST(EntrySetTest, IsCutAtBothEnds) {
  for (const unsigned at : {0U, 1U, 63U, 64U, 65U, 300U, 511U, 512U}) {
    EntrySet low, high;
    for (unsigned i = 0; i < EntrySet::kSize; ++i) {
      low.set(i);
      high.set(i);
    }
    low.clear_below(at);
    high.clear_from(at);
    EXPECT_EQ(low.count(), EntrySet::kSize - at);
    EXPECT_EQ(high.count(), at);
    EXPECT_FALSE((low & high).any());
  }
}

TEST(LeafBlockTest, ReadsWhatEntriesSay) {
  Table table{};
  table[1] = kPresent;
  table[2] = kPresent | kAccessed;
  table[3] = kProtNone | kAccessed;
  table[4] = kAccessed;  // swapped out
  table[5] = kPresent | kAccessed | kSpecial;
  table[511] = kPresent;
  const LeafBlock block = read_x86(table, 0, 512);
  EXPECT_EQ(block.resident, set_of({1, 2, 3, 5, 511}));
  EXPECT_EQ(block.young, set_of({2, 3, 5}));
  EXPECT_EQ(block.unknown, set_of({5}));
  EXPECT_EQ(read_x86(table, 2, 5).resident, set_of({2, 3}));
}

TEST(LeafBlockTest, OnArm64AGroupIsYoungIfAnyOfItIs) {
  constexpr uint64_t kContiguous = uint64_t{1} << 52;
  constexpr uint64_t kArmPage = 3;
  constexpr uint64_t kAccessFlag = 1 << 10;
  for (const auto& [page, group] : {std::pair{4096U, 16U}, {16384U, 128U}, {65536U, 32U}}) {
    const Geometry geometry = *Geometry::of("aarch64", PageSize(page));
    Table table{};
    for (unsigned i = 2 * group; i < 3 * group; ++i) table[i] = kArmPage | kContiguous;
    table[2 * group + 3] |= kAccessFlag;
    table[3 * group] = kArmPage | kContiguous;  // of a group of which none is young
    table[0] = kArmPage | kAccessFlag;          // of no group
    table[1] = kArmPage;
    table[group] = uint64_t{1} << 58 | kAccessFlag;  // may not be accessed
    table[group + 1] = kAccessFlag | kContiguous;    // swapped out
    pte_layout layout = geometry.layout_for(48, 0);
    layout.mapped |= uint64_t{1} << 58;
    const LeafBlock block = read_leaves(geometry.format, layout, table, kAddr, 0, 512);
    EntrySet young = set_of({0, group});
    for (unsigned i = 2 * group; i < 3 * group; ++i) young.set(i);
    EXPECT_EQ(block.young, young) << page;
    EXPECT_EQ(block.resident.count(), group + 4) << page;
    EXPECT_FALSE(block.unknown.any());
    EXPECT_EQ(block.shift, geometry.format.shift[0]);
  }
}

TEST(LeafBlockTest, AHugeLeafThatIsBeingChangedIsUnknown) {
  LeafBlock block{.addr = kAddr, .shift = 21};
  add_huge_leaf(kX86Tables.format, kX86Layout, block, 0, kPresent | kHugeBit);
  add_huge_leaf(kX86Tables.format, kX86Layout, block, 1, kPresent | kHugeBit | kAccessed);
  add_huge_leaf(kX86Tables.format, kX86Layout, block, 2, kHugeBit);
  EXPECT_EQ(block.resident, set_of({0, 1, 2}));
  EXPECT_EQ(block.young, set_of({1}));
  EXPECT_EQ(block.unknown, set_of({2}));
}

TEST(LeafBlockTest, ALeafOfAGibibyteCannotBeMadeOld) {
  LeafBlock block{.addr = kAddr, .shift = 30};
  add_huge_leaf(kX86Tables.format, kX86Layout, block, 0, kPresent | kHugeBit | kAccessed);
  EXPECT_EQ(block.unknown, set_of({0}));
}

TEST(LeafBlockTest, RunsAreAsLongAsCanBeAndBreakAtHoles) {
  LeafBlock block{.addr = kAddr, .shift = 12};
  block.resident = set_of({0, 1, 2, 3, 4, 6, 7});
  block.young = set_of({1, 2, 3, 6});
  block.unknown = set_of({3, 7});
  std::vector<SweptRun> runs;
  append_runs(block, runs);
  const auto page = [](uint64_t i) { return kAddr + i * 4096; };
  const std::vector<SweptRun> expected{{{page(0), page(1)}, AccessState::not_accessed},
                                       {{page(1), page(3)}, AccessState::accessed},
                                       {{page(3), page(4)}, AccessState::unknown},
                                       {{page(4), page(5)}, AccessState::not_accessed},
                                       {{page(6), page(7)}, AccessState::accessed},
                                       {{page(7), page(8)}, AccessState::unknown}};
  EXPECT_EQ(runs, expected);
  LeafBlock next{.addr = page(8), .shift = 12};
  next.resident = next.unknown = set_of({0});
  append_runs(next, runs);
  EXPECT_EQ(runs.back(), (SweptRun{{page(7), page(9)}, AccessState::unknown}));
}

}  // namespace
}  // namespace damonfs
