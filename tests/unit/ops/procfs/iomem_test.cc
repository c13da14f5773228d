#include "ops/procfs/iomem.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "tests/unit/ops/temp_tree.h"

namespace damonfs {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kText =
    "00000000-00000fff : Reserved\n"
    "00001000-0009fbff : System RAM\n"
    "000a0000-000fffff : PCI Bus 0000:00\n"
    "  000f0000-000fffff : System ROM\n"
    "00100000-7ffdefff : System RAM\n"
    "  01000000-01e00fff : Kernel code\n"
    "  02000000-02a3bfff : Kernel rodata\n"
    "fec00000-fec003ff : IOAPIC 0\n"
    "100000000-27fffffff : System RAM\n"
    "  1b0000000-1b1ffffff : Crash kernel\n"
    "300000000-33fffffff : Persistent Memory\n"
    "  300000000-33fffffff : dax0.0\n"
    "    308000000-337ffffff : System RAM (kmem)\n"
    "380000000-38fffffff : System RAM-like\n";

TEST(IomemTest, FindsRamAndNothingElse) {
  const auto ram = parse_iomem(kText);
  ASSERT_TRUE(ram) << ram.error().message;
  EXPECT_THAT(
      *ram, ElementsAre(AddrRange{0x1000, 0x9fc00}, AddrRange{0x100000, 0x7ffdf000},
                        AddrRange{0x100000000, 0x280000000}, AddrRange{0x308000000, 0x338000000}));
}

TEST(IomemTest, TheSpanIsFromTheFirstToTheLast) {
  const TempTree tree;
  tree.write("proc/iomem", kText);
  EXPECT_EQ(system_ram_span(tree.paths()).value(), (AddrRange{0x1000, 0x338000000}));
  tree.write("proc/iomem", "0-fff : Reserved\n4000-4fff : System RAM\n5000-5fff : Reserved\n");
  EXPECT_EQ(system_ram_span(tree.paths()).value(), (AddrRange{0x4000, 0x5000}));
}

TEST(IomemTest, AddressesThatAreHiddenAreAnError) {
  const auto ram = parse_iomem(
      "00000000-00000000 : Reserved\n00000000-00000000 : System RAM\n"
      "  00000000-00000000 : Kernel code\n00000000-00000000 : System RAM\n");
  ASSERT_FALSE(ram);
  EXPECT_EQ(ram.error().code, EPERM);
  EXPECT_THAT(ram.error().message, HasSubstr("CAP_SYS_ADMIN"));
}

TEST(IomemTest, ARangeThatEndsWithTheLastAddressIsNone) {
  const auto ram = parse_iomem("1000-ffffffffffffffff : System RAM\n");
  ASSERT_FALSE(ram);
  EXPECT_EQ(ram.error().code, EINVAL);
}

TEST(IomemTest, WhatIsNoIomemIsNamed) {
  for (const char* text :
       {"1000-1fff System RAM\n", "1000 : System RAM\n", "2000-1fff : System RAM\n",
        "x-y : System RAM\n", "1000-1fff : Reserved\n\n"}) {
    const auto ram = parse_iomem(text);
    ASSERT_FALSE(ram) << text;
    EXPECT_EQ(ram.error().code, EINVAL) << text;
  }
  EXPECT_EQ(parse_iomem("1000-1fff : Reserved\n").error().code, ENOENT);
  EXPECT_EQ(parse_iomem("").error().code, ENOENT);
  EXPECT_EQ(system_ram_span(TempTree().paths()).error().code, ENOENT);
}

}  // namespace
}  // namespace damonfs
