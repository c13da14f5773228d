#include "ops/pte/geometry.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace damonfs {
namespace {
namespace walked {

// What table_walk.h walks through: the entries of tables at addresses of a kernel.
std::map<uint64_t, uint64_t> words;
pte_geometry geometry;
struct {
  pte_layout layout;
} shared;
uint64_t nr_reads = 0;

uint64_t read_word(uint64_t address) {
  ++nr_reads;
  const auto word = words.find(address);
  return word != words.end() ? word->second : 0;
}

#include "ops/pte/table_walk.h"

constexpr uint64_t kBase = 0xffff'4000'0000'0000;
constexpr uint64_t kPhysEnd = uint64_t{1} << 44;

// One kind of page table, and how its entries are written by the processor's manual.
struct Kind {
  const char* machine;
  unsigned page;
  unsigned user_bits;
  unsigned levels;
  unsigned huge_shift;
  uint64_t table;      // of an entry that leads to a table
  uint64_t leaf;       // of one that maps a page
  uint64_t huge_leaf;  // of one that maps memory above the lowest tables
  uint64_t accessed;
};

constexpr uint64_t kX86Table = 0x67;
constexpr uint64_t kArmTable = 3;
constexpr uint64_t kArmPage = 3 | 3 << 8 | 1 << 11;
constexpr uint64_t kArmBlock = 1 | 3 << 8 | 1 << 11;
// With 52-bit addresses and pages of 4 or 16 KiB the shareability bits, 8 and 9, are of the
// address.
constexpr uint64_t kArmPageLpa2 = 3 | 1 << 11;
constexpr uint64_t kArmBlockLpa2 = 1 | 1 << 11;
constexpr uint64_t kAccessFlag = 1 << 10;

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> all{
      {"x86_64", 4096, 47, 4, 21, kX86Table, 0x07, 0x87, 0x20},
      {"x86_64", 4096, 56, 5, 21, kX86Table, 0x07, 0x87, 0x20},
      {"aarch64", 4096, 39, 3, 21, kArmTable, kArmPage, kArmBlock, kAccessFlag},
      {"aarch64", 4096, 48, 4, 21, kArmTable, kArmPage, kArmBlock, kAccessFlag},
      {"aarch64", 4096, 52, 5, 21, kArmTable, kArmPageLpa2, kArmBlockLpa2, kAccessFlag},
      {"aarch64", 16384, 36, 2, 25, kArmTable, kArmPage, kArmBlock, kAccessFlag},
      {"aarch64", 16384, 47, 3, 25, kArmTable, kArmPage, kArmBlock, kAccessFlag},
      {"aarch64", 16384, 48, 4, 25, kArmTable, kArmPage, kArmBlock, kAccessFlag},
      {"aarch64", 16384, 52, 4, 25, kArmTable, kArmPageLpa2, kArmBlockLpa2, kAccessFlag},
      {"aarch64", 65536, 42, 2, 29, kArmTable, kArmPage, kArmBlock, kAccessFlag},
      {"aarch64", 65536, 48, 3, 29, kArmTable, kArmPage, kArmBlock, kAccessFlag},
      {"aarch64", 65536, 52, 3, 29, kArmTable, kArmPage, kArmBlock, kAccessFlag},
  };
  return all;
}

// A page table of one kind in the memory that read_word() reads.
class PageTable {
 public:
  explicit PageTable(const Kind& kind) : kind_(kind) {
    words.clear();
    const Geometry found = *Geometry::of(kind.machine, PageSize(kind.page));
    geometry = found.format;
    shared.layout = found.layout_for(kind.user_bits, 46);
    shared.layout.page_offset = kBase;
    shared.layout.phys_end = kPhysEnd;
    top_ = new_table();
    begin_walk(&walk_, kBase + top_);
  }

  // Makes the entry at `level` for `addr` be `entry`, with tables above it.
  void set(uint64_t addr, unsigned level, uint64_t entry) {
    uint64_t table = top_;
    for (unsigned at = kind_.levels - 1; at > level; --at) {
      uint64_t& word = words[kBase + table + index(addr, at) * 8];
      if (word == 0) word = new_table() | kind_.table;
      table = word & ~uint64_t{0xfff};
    }
    words[kBase + table + index(addr, level) * 8] = entry;
  }
  uint64_t leaf(uint64_t addr, unsigned& shift) {
    __u8 found = 0;
    const uint64_t entry = leaf_of(&walk_, addr, &found);
    shift = found;
    return entry;
  }

 private:
  uint64_t new_table() { return next_ += uint64_t{1} << 20; }
  [[nodiscard]] uint64_t index(uint64_t addr, unsigned level) const {
    unsigned page_shift = 12;
    while (1U << page_shift < kind_.page) ++page_shift;
    const unsigned bits = page_shift - 3;
    return addr >> (page_shift + level * bits) & ((uint64_t{1} << bits) - 1);
  }

  const Kind& kind_;
  table_walk walk_{};
  uint64_t top_ = 0;
  uint64_t next_ = uint64_t{1} << 30;
};

std::string name_of(const Kind& kind) {
  return fmt::format("{}, pages of {}, {} bits", kind.machine, kind.page, kind.user_bits);
}

TEST(GeometryTest, LevelsAndSizesFollowFromThePageSize) {
  for (const Kind& kind : kinds()) {
    const Geometry found = *Geometry::of(kind.machine, PageSize(kind.page));
    EXPECT_EQ(found.levels_for(kind.user_bits), kind.levels) << name_of(kind);
    EXPECT_EQ(found.format.shift[1], kind.huge_shift) << name_of(kind);
    EXPECT_EQ(found.format.entries, kind.page / 8) << name_of(kind);
    EXPECT_LE(found.format.entries, PTE_MAX_ENTRIES);
    EXPECT_EQ(found.layout_for(kind.user_bits, 46).user_bits, kind.user_bits);
  }
}

TEST(GeometryTest, OtherMachinesAndPageSizesAreRefused) {
  EXPECT_EQ(Geometry::of("riscv64", PageSize(4096)).error().code, ENOTSUP);
  EXPECT_EQ(Geometry::of("x86_64", PageSize(16384)).error().code, ENOTSUP);
  EXPECT_EQ(Geometry::of("aarch64", PageSize(8192)).error().code, ENOTSUP);
  EXPECT_TRUE(Geometry::of_kernel());
}

TEST(GeometryTest, TheWalkFindsPagesAndHugeLeaves) {
  for (const Kind& kind : kinds()) {
    SCOPED_TRACE(name_of(kind));
    PageTable table(kind);
    const uint64_t high = (uint64_t{1} << kind.user_bits) - kind.page;
    const uint64_t huge = uint64_t{5} << kind.huge_shift;
    const uint64_t low = uint64_t{3} << kind.huge_shift;
    table.set(high, 0, 0x12340000 | kind.leaf | kind.accessed);
    table.set(low, 0, 0x56780000 | kind.leaf);
    table.set(low + 7 * kind.page, 0, 0x9abc0000 | kind.leaf);
    table.set(huge, 1, (uint64_t{2} << kind.huge_shift) | kind.huge_leaf);

    unsigned shift = 0;
    const auto phys = [&](uint64_t entry) {
      return pte_physical(&geometry, &shared.layout, entry);
    };
    uint64_t entry = table.leaf(high, shift);
    EXPECT_EQ(phys(entry), 0x12340000);
    EXPECT_NE(entry & geometry.accessed, 0);
    EXPECT_EQ(uint64_t{1} << shift, kind.page);
    entry = table.leaf(low + 100, shift);
    EXPECT_EQ(phys(entry), 0x56780000);
    EXPECT_EQ(entry & geometry.accessed, 0);
    const uint64_t before = nr_reads;
    EXPECT_EQ(phys(table.leaf(low + 7 * kind.page, shift)), 0x9abc0000);
    EXPECT_EQ(nr_reads, before + 1) << "the way to a neighbour is known";
    EXPECT_EQ(table.leaf(low + kind.page, shift), 0) << "nothing is mapped there";
    entry = table.leaf(huge + 5 * kind.page, shift);
    EXPECT_EQ(shift, kind.huge_shift);
    EXPECT_TRUE(is_huge(entry));
    EXPECT_EQ(phys(entry), uint64_t{2} << kind.huge_shift);
    EXPECT_EQ(table.leaf(uint64_t{9} << kind.huge_shift, shift), 0);
    EXPECT_EQ(phys(table.leaf(high, shift)), 0x12340000) << "again, by what was remembered";
    EXPECT_TRUE(maps_user(high));
    EXPECT_FALSE(maps_user(uint64_t{1} << kind.user_bits));
  }
}

TEST(GeometryTest, AnEntryThatLeadsBeyondMemoryLeadsNowhere) {
  for (const Kind& kind : kinds()) {
    PageTable table(kind);
    const uint64_t addr = uint64_t{3} << kind.huge_shift;
    table.set(addr, 1, kPhysEnd | kind.table);
    unsigned shift = 0;
    EXPECT_EQ(table.leaf(addr, shift), 0) << name_of(kind);
    EXPECT_EQ(table_at(0), 0);
    EXPECT_EQ(table_at(kind.huge_leaf), 0) << "a huge leaf is no table";
    EXPECT_FALSE(is_huge(kind.table | 1 << 20)) << "and a table no huge leaf";
  }
}

TEST(GeometryTest, HighBitsOfAddressesAreFoundWhereTheManualPutsThem) {
  const auto phys = [](unsigned page, unsigned user_bits, uint64_t entry) {
    const Geometry found = *Geometry::of("aarch64", PageSize(page));
    const pte_layout layout = found.layout_for(user_bits, 0);
    return pte_physical(&found.format, &layout, entry);
  };
  // FEAT_LPA: bits 15 to 12 of the entry are 51 to 48.
  EXPECT_EQ(phys(65536, 52, 0xa000 | 0x7fff'1234'0000 | 3), 0xa'7fff'1234'0000);
  // FEAT_LPA2: 49 to the page are in place, 9 and 8 are 51 and 50.
  EXPECT_EQ(phys(4096, 52, 0x300 | 0x3'7fff'1234'5000 | 3), 0xf'7fff'1234'5000);
  EXPECT_EQ(phys(16384, 52, 0x200 | 0x1'7fff'1234'4000 | 3), 0x9'7fff'1234'4000);
  // Without them these are the memory's kind.
  EXPECT_EQ(phys(4096, 48, 0x300 | 0x7fff'1234'5000 | 3), 0x7fff'1234'5000);
  EXPECT_EQ(phys(16384, 47, 0x300 | 0x7fff'1234'4000 | 3), 0x7fff'1234'4000);
}

TEST(GeometryTest, LinuxInvertsAddressesThatX86MustNotFollow) {
  const Geometry x86 = *Geometry::of("x86_64", PageSize(4096));
  const pte_layout layout = x86.layout_for(47, 46);
  const uint64_t entry = (~uint64_t{0x12345000} & layout.phys_mask) | 1 << 8 | 0x20;
  EXPECT_EQ(pte_physical(&x86.format, &layout, entry), 0x12345000);
}

TEST(GeometryTest, AnEntryWithoutAccessTellsItsMark) {
  const Geometry x86 = *Geometry::of("x86_64", PageSize(4096));
  EXPECT_EQ(x86.no_access_bit(1 << 8 | 0x1000), 1 << 8);
  EXPECT_EQ(x86.no_access_bit(1 << 8 | 1), 0) << "global, and present";
  EXPECT_EQ(x86.layout_for(47, 46).mapped, 1 | 1 << 8);
  const Geometry arm = *Geometry::of("aarch64", PageSize(4096));
  EXPECT_EQ(arm.no_access_bit(uint64_t{1} << 58 | 1 << 11), uint64_t{1} << 58);
  EXPECT_EQ(arm.no_access_bit(1 << 11), 1 << 11);
  EXPECT_EQ(arm.no_access_bit(0), 0);
}

}  // namespace walked
}  // namespace
}  // namespace damonfs
