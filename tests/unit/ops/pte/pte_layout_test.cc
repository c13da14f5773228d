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

TEST(PteLayoutTest, ProcfsIsUnderstood) {
  const auto memory = MachineMemory::parse(kZones, kProcessor);
  ASSERT_TRUE(memory);
  EXPECT_EQ(memory->ram_end, (1048576ULL + 5505024) * 4096);
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
  const pte_layout layout =
      layout_without_bases({.ram_end = 24 * kGiB, .physical_bits = 46, .five_levels = false}, 4);
  EXPECT_EQ(layout.phys_mask, 0x3fff'ffff'f000);
  EXPECT_EQ(layout.phys_end, kTiB);
  EXPECT_EQ(layout.levels, 4);
}

TEST(PteLayoutTest, GuessesReachTheRealBases) {
  const MachineMemory memory{.ram_end = 5 * kGiB + 1, .physical_bits = 46, .five_levels = false};
  const uint64_t base = 0xffff'9a40'0000'0000;
  for (const uint64_t table : {base, base + 3 * kGiB + 4096, base + 5 * kGiB}) {
    const auto guesses = page_offset_guesses(memory, 4, table);
    EXPECT_EQ(guesses.front(), 0xffff'8880'0000'0000);
    EXPECT_THAT(guesses, Contains(base));
    EXPECT_TRUE(std::is_sorted(guesses.begin() + 1, guesses.end()));
  }
  const uint64_t array = 0xffff'f0c0'4000'0000;
  const auto guesses = vmemmap_guesses(memory, 5, array + 80'000'000);
  EXPECT_EQ(guesses.front(), 0xffd4'0000'0000'0000);
  EXPECT_THAT(guesses, Contains(array));
  EXPECT_TRUE(std::is_sorted(guesses.rbegin(), guesses.rend() - 1));
  EXPECT_EQ(vmemmap_guesses(memory, 5, 0).size(), 1) << "nothing to go by";
}

constexpr KnownPages kKnown{
    .addr = 0x7f12'3456'7000, .content = 0x1234567890abcdef, .twin_addr = 0x7f12'3456'9000};

// What a probe sees with the right layout.
pte_probe right_view(uint64_t vmemmap) {
  pte_probe seen{};
  seen.content = kKnown.content;
  seen.folio_index = kKnown.addr / 4096;
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
    const auto found = find_layout(kMemory, kKnown, std::ref(kernel));
    ASSERT_TRUE(found) << found.error().message;
    EXPECT_EQ(found->page_offset, page_offset);
    EXPECT_EQ(found->vmemmap, vmemmap);
    EXPECT_EQ(found->levels, levels);
    EXPECT_LT(kernel.probes, 30);
  }
}

TEST(PteLayoutTest, AKernelThatIsNotUnderstoodIsRefused) {
  const auto nothing = [](const pte_layout&) -> Result<pte_probe> { return pte_probe{}; };
  EXPECT_EQ(find_layout(kMemory, kKnown, nothing).error().code, ENOTSUP);
  ProbedKernel elsewhere{0x1000, 0xffff'ea00'0000'0000, 4};
  const auto blind = [&](const pte_layout& layout) {
    auto seen = elsewhere(layout);
    seen->content = 0;
    return seen;
  };
  EXPECT_THAT(find_layout(kMemory, kKnown, blind).error().message, HasSubstr("page tables"));
  const auto broken = [](const pte_layout&) -> Result<pte_probe> { return fail(EIO, "broken"); };
  EXPECT_EQ(find_layout(kMemory, kKnown, broken).error().code, EIO);
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
    const auto found = find_layout(kMemory, kKnown, wrong);
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
