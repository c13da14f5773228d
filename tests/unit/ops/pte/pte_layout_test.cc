#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "ops/pte/kernel_layout.h"
#include "tests/unit/units.h"

namespace damonfs {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr uint64_t kTiB = 1ULL << 40;

constexpr const char* kZones =
    "Node 0, zone      DMA\n  pages free     2816\n        spanned  4095\n        present  3998\n"
    "  start_pfn:           1\nNode 0, zone   Normal\n        spanned  5505024\n"
    "        present  5505024\n  start_pfn:           1048576\n"
    "Node 0, zone  Movable\n        spanned  0\n  start_pfn:           0\n";
constexpr const char* kProcessor =
    "processor\t: 0\nflags\t\t: fpu vme la57x lm\naddress sizes\t: 46 bits physical, 48 bits "
    "virtual\n";

const Geometry kX86 = *Geometry::of("x86_64", PageSize(4096));

TEST(PteLayoutTest, ProcfsIsUnderstood) {
  const auto memory = MachineMemory::parse(kZones, kProcessor);
  ASSERT_TRUE(memory);
  EXPECT_EQ(memory->ram_end, (1048576ULL + 5505024) * kPageSize);
  EXPECT_EQ(memory->physical_bits, 46);
  EXPECT_FALSE(memory->five_levels);
  const auto five = MachineMemory::parse(
      kZones, "x\nflags\t\t: fpu la57\naddress sizes\t: 52 bits physical, 57 bits virtual\n");
  ASSERT_TRUE(five);
  EXPECT_TRUE(five->five_levels);
}

TEST(PteLayoutTest, WhatIsNotOfX86IsRefused) {
  EXPECT_EQ(MachineMemory::parse("", kProcessor).error().code, ENOTSUP);
  EXPECT_EQ(MachineMemory::parse("spanned x start_pfn: y", kProcessor).error().code, ENOTSUP);
  EXPECT_EQ(MachineMemory::parse(kZones, "").error().code, ENOTSUP);
  EXPECT_EQ(MachineMemory::parse(kZones, "address sizes : 99 bits").error().code, ENOTSUP);
  EXPECT_EQ(MachineMemory::parse(kZones, "address sizes").error().code, ENOTSUP);
}

TEST(PteLayoutTest, MaskAndEndFollowFromTheMachine) {
  const MachineMemory memory{.ram_end = 24 * kGiB, .physical_bits = 46, .five_levels = false};
  const auto layouts = layouts_without_bases(kX86, memory);
  ASSERT_EQ(layouts.size(), 2) << "cpuinfo need not be right about five levels";
  EXPECT_EQ(layouts[0].phys_mask, 0x3fff'ffff'f000);
  EXPECT_EQ(layouts[0].phys_end, kTiB);
  EXPECT_EQ(layouts[0].levels, 4);
  EXPECT_EQ(layouts[0].user_bits, 47);
  EXPECT_EQ(layouts[1].levels, 5);
  EXPECT_EQ(layouts[1].user_bits, 56);
  const auto five =
      layouts_without_bases(kX86, {.ram_end = 24 * kGiB, .physical_bits = 52, .five_levels = true});
  EXPECT_EQ(five[0].levels, 5);
}

TEST(PteLayoutTest, GuessesReachTheRealBases) {
  const MachineMemory memory{.ram_end = 5 * kGiB + 1, .physical_bits = 46, .five_levels = false};
  const uint64_t base = 0xffff'9a40'0000'0000;
  for (const uint64_t table : {base, base + 3 * kGiB + 4096, base + 5 * kGiB}) {
    const auto guesses = page_offset_guesses(kX86, memory, 4, table);
    EXPECT_EQ(guesses.front(), 0xffff'8880'0000'0000);
    EXPECT_THAT(guesses, Contains(base));
    EXPECT_TRUE(std::is_sorted(guesses.begin() + 1, guesses.end()));
  }
  const uint64_t array = 0xffff'f0c0'4000'0000;
  const auto guesses = vmemmap_guesses(kX86, memory, 5, array + 80'000'000);
  EXPECT_EQ(guesses.front(), 0xffd4'0000'0000'0000);
  EXPECT_THAT(guesses, Contains(array));
  EXPECT_TRUE(std::is_sorted(guesses.rbegin(), guesses.rend() - 1));
  EXPECT_EQ(vmemmap_guesses(kX86, memory, 5, 0).size(), 1) << "nothing to go by";
}

// Linux takes for PAGE_OFFSET the lowest address of the kernel's half, and maps there the physical
// address memstart_addr, which is random and may be below 0.
TEST(PteLayoutTest, OnArm64GuessesReachBasesWhereverMemoryStarts) {
  struct Kind {
    uint64_t page;
    uint64_t unit;           // that memstart_addr is a multiple of
    uint64_t vmemmap_start;  // of Linux 6.1 with 48-bit addresses
  };
  for (const auto& [page, unit, vmemmap_start] :
       {Kind{4096, kGiB, 0xffff'fc00'0000'0000}, Kind{16384, kGiB, 0xffff'ff00'0000'0000},
        Kind{65536, kGiB / 2, 0xffff'ffc0'0000'0000}}) {
    const Geometry geometry = *Geometry::of("aarch64", PageSize(page));
    const MachineMemory memory{.ram_end = 4 * kGiB, .user_bits = 48};
    EXPECT_EQ(geometry.base_unit, unit);
    const auto shift = geometry.format.shift[0];
    for (const int64_t start : {int64_t{0}, int64_t{1}, int64_t{-37}, int64_t{-90000}}) {
      const uint64_t memstart = static_cast<uint64_t>(start) * unit;
      const uint64_t base = 0xffff'0000'0000'0000 - memstart;
      const uint64_t vmemmap = vmemmap_start - static_cast<uint64_t>(start) * (unit >> shift) * 64;
      for (const uint64_t phys : {kGiB, kGiB + 5 * page, 4 * kGiB - page}) {
        const auto bases = page_offset_guesses(geometry, memory, 4, base + phys);
        EXPECT_THAT(bases, Contains(base));
        EXPECT_LT(bases.size(), 12);
        const auto arrays = vmemmap_guesses(geometry, memory, 4, vmemmap + (phys >> shift) * 64);
        EXPECT_THAT(arrays, Contains(vmemmap));
        EXPECT_LT(arrays.size(), 12);
      }
    }
    EXPECT_TRUE(vmemmap_guesses(geometry, memory, 4, 0).empty()) << "nothing to go by";
  }
}

constexpr KnownPages kKnown{
    .addr = 0x7f12'3456'7000, .content = 0x1234567890abcdef, .twin_addr = 0x7f12'3456'9000};

// What a probe sees with the right layout.
pte_probe right_view(uint64_t vmemmap) {
  pte_probe seen{};
  seen.content = kKnown.content;
  seen.folio_index = kKnown.addr / kPageSize;
  seen.mappings = 1;
  seen.twin_mappings = 2;
  seen.tail = vmemmap + 0x40c0;
  seen.head = vmemmap + 0x4000;
  seen.head_is_head = 1;
  return seen;
}

// A kernel, as far as the probe tells of it.
struct ProbedKernel {
  uint64_t page_offset;
  uint64_t vmemmap;
  uint32_t levels;
  int probes = 0;

  Result<pte_probe> operator()(const pte_layout& layout) {
    ++probes;
    const bool right = layout.page_offset == page_offset && layout.levels == levels;
    pte_probe seen{};
    if (right && layout.vmemmap == vmemmap) {
      seen = right_view(vmemmap);
    } else {
      seen.content = right ? kKnown.content : 0x1111;
      seen.folio_index = 7;
    }
    seen.pgd = page_offset + 3 * kGiB + 0x5000;
    seen.some_page = vmemmap + 0x123400;
    return seen;
  }
};

constexpr MachineMemory kMemory{.ram_end = 4 * kGiB, .physical_bits = 46, .five_levels = false};

TEST(PteLayoutTest, TheLayoutIsFound) {
  for (const auto& [page_offset, vmemmap, levels] :
       {std::tuple{0xffff'8880'0000'0000ULL, 0xffff'ea00'0000'0000ULL, 4U},
        {0xffff'9a40'0000'0000ULL, 0xffff'f0c0'4000'0000ULL, 4U},
        {0xff3e'8c53'c000'0000ULL, 0xffd6'9103'4000'0000ULL, 5U}}) {
    ProbedKernel kernel{page_offset, vmemmap, levels};
    const auto found = find_layout(kX86, kMemory, kKnown, std::ref(kernel));
    ASSERT_TRUE(found) << found.error().message;
    EXPECT_EQ(found->page_offset, page_offset);
    EXPECT_EQ(found->vmemmap, vmemmap);
    EXPECT_EQ(found->levels, levels);
    EXPECT_LT(kernel.probes, 30);
  }
}

TEST(PteLayoutTest, OnArm64AnEntryTellsHowPagesWithoutAccessAreMarked) {
  const Geometry geometry = *Geometry::of("aarch64", PageSize(4096));
  constexpr MachineMemory kArm{.ram_end = 4 * kGiB, .user_bits = 48};
  for (const auto& [entry, mapped] : {std::pair{uint64_t{1} << 58 | 1 << 11, uint64_t{1} << 58 | 1},
                                      {uint64_t{1} << 11, uint64_t{1} << 11 | 1},
                                      {uint64_t{0}, uint64_t{1}}}) {
    ProbedKernel kernel{0xffff'0000'8000'0000, 0xffff'fc00'0000'0000, 4};
    const auto marked = [&, no_access = entry](const pte_layout& layout) {
      auto seen = kernel(layout);
      seen->no_access = no_access;
      return seen;
    };
    const auto found = find_layout(geometry, kArm, kKnown, marked);
    ASSERT_TRUE(found) << found.error().message;
    EXPECT_EQ(found->mapped, mapped);
    EXPECT_EQ(found->page_offset, kernel.page_offset);
  }
}

TEST(PteLayoutTest, AKernelThatIsNotUnderstoodIsRefused) {
  const auto nothing = [](const pte_layout&) -> Result<pte_probe> { return pte_probe{}; };
  EXPECT_EQ(find_layout(kX86, kMemory, kKnown, nothing).error().code, ENOTSUP);
  ProbedKernel elsewhere{0x1000, 0xffff'ea00'0000'0000, 4};
  const auto blind = [&](const pte_layout& layout) {
    auto seen = elsewhere(layout);
    seen->content = 0;
    return seen;
  };
  EXPECT_THAT(find_layout(kX86, kMemory, kKnown, blind).error().message, HasSubstr("page tables"));
  const auto broken = [](const pte_layout&) -> Result<pte_probe> { return fail(EIO, "broken"); };
  EXPECT_EQ(find_layout(kX86, kMemory, kKnown, broken).error().code, EIO);
}

// Descriptors that can be read and say something else than is so.
TEST(PteLayoutTest, ALayoutThatReadsWronglyIsRefused) {
  using Change = void (*)(pte_probe&);
  for (const auto& [change, reason] : {
           std::pair<Change, const char*>{[](pte_probe& seen) { seen.folio_index = 8; },
                                          "page descriptors"},
           {[](pte_probe& seen) { seen.mappings = 0; }, "once and twice it says 0 and 2 times"},
           {[](pte_probe& seen) { seen.twin_mappings = 1; }, "it says 1 and 1 times"},
           {[](pte_probe& seen) { seen.head = 0; }, "tail page"},
           {[](pte_probe& seen) { seen.head = seen.tail; }, "tail page"},
           {[](pte_probe& seen) { seen.head = seen.tail + 64; }, "tail page"},
           {[](pte_probe& seen) { seen.head_is_head = 0; }, "tail page"},
       }) {
    ProbedKernel kernel{0xffff'8880'0000'0000, 0xffff'ea00'0000'0000, 4};
    const auto wrong = [&, spoil = change](const pte_layout& layout) {
      auto seen = kernel(layout);
      if (layout.vmemmap == kernel.vmemmap) spoil(*seen);
      return seen;
    };
    const auto found = find_layout(kX86, kMemory, kKnown, wrong);
    ASSERT_FALSE(found) << reason;
    EXPECT_EQ(found.error().code, ENOTSUP);
    EXPECT_THAT(found.error().message, HasSubstr(reason));
  }
}

TEST(PteLayoutTest, WithoutATailPageToLookAtTheOtherProofsCount) {
  pte_probe seen = right_view(0xffff'ea00'0000'0000);
  EXPECT_TRUE(proven(seen, kKnown));
  seen.tail = seen.head = 0;
  seen.head_is_head = 0;
  EXPECT_TRUE(proven(seen, kKnown));
}

}  // namespace
}  // namespace damonfs
