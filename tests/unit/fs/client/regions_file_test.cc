// The file regions of a kdamond, as commands read it.
#include "fs/client/regions_file.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstdint>
#include <string>

namespace damonfs {
namespace {

std::string with_unit(const std::string& unit, const std::string& lines) {
  return "# schema=1 state=on backend=pte operations=paddr addr_unit=" + unit + "\n" + lines;
}

TEST(RegionsFile, AddressesAreInBytes) {
  const auto regions = parse_regions(with_unit("2", "0 -1 4096 8192 1 2 - yes\n"));
  ASSERT_TRUE(regions) << regions.error().message;
  ASSERT_EQ(regions->targets.size(), 1u);
  EXPECT_EQ(regions->targets[0].regions.at(0).range, (AddrRange{8192, 16384}));
}

TEST(RegionsFile, WhatIsBeyondAllMemoryIsLeftOut) {
  const auto regions =
      parse_regions(with_unit("4096",
                              "0 -1 0 9223372036854775808 0 0 - never\n"
                              "0 -1 9223372036854775808 18446744073709551615 0 0 - no\n"));
  ASSERT_TRUE(regions) << regions.error().message;
  ASSERT_EQ(regions->targets.at(0).regions.size(), 1u);
  EXPECT_EQ(regions->targets[0].regions[0].range, (AddrRange{0, UINT64_MAX}));
}

TEST(RegionsFile, AUnitOfNothingIsRefused) {
  const auto regions = parse_regions(with_unit("0", "0 -1 4096 8192 1 2 - yes\n"));
  ASSERT_FALSE(regions);
  EXPECT_EQ(regions.error().code, EPROTO);
}

}  // namespace
}  // namespace damonfs
