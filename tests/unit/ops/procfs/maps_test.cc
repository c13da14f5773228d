#include "ops/procfs/maps.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "tests/unit/ops/temp_tree.h"

namespace damonfs {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<AddrRange> mappings_in(std::string_view text) {
  const auto mappings = parse_maps(text);
  EXPECT_TRUE(mappings) << mappings.error().message;
  return mappings.value_or(std::vector<AddrRange>());
}

TEST(MapsTest, ReadsWhatTheKernelWrites) {
  const auto mappings = mappings_in(
      "55d0c2a00000-55d0c2a21000 rw-p 00000000 00:00 0                          [heap]\n"
      "7f1a00000000-7f1a00021000 r--p 00001000 fe:01 1234      /usr/lib/a b-c (deleted)\n"
      "7fff2bff9000-7fff2bffb000 r-xp 00000000 00:00 0                          [vdso]\n");
  EXPECT_THAT(mappings, ElementsAre(AddrRange{0x55d0c2a00000, 0x55d0c2a21000},
                                    AddrRange{0x7f1a00000000, 0x7f1a00021000},
                                    AddrRange{0x7fff2bff9000, 0x7fff2bffb000}));
}

TEST(MapsTest, LeavesOutTheKernelsHalf) {
  const auto mappings = mappings_in(
      "1000-2000 r--p 00000000 00:00 0\n"
      "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n");
  EXPECT_THAT(mappings, ElementsAre(AddrRange{0x1000, 0x2000}));
}

TEST(MapsTest, TakesFiveLevelAddresses) {
  EXPECT_THAT(mappings_in("ffffffffffe000-fffffffffff000 rw-p 00000000 00:00 0 [stack]\n"),
              ElementsAre(AddrRange{0xffffffffffe000, 0xfffffffffff000}));
}

TEST(MapsTest, NothingIsMapped) { EXPECT_THAT(mappings_in(""), IsEmpty()); }

TEST(MapsTest, LastLineMayLackItsNewline) {
  EXPECT_THAT(mappings_in("1000-2000 r\n3000-4000 r"),
              ElementsAre(AddrRange{0x1000, 0x2000}, AddrRange{0x3000, 0x4000}));
}

TEST(MapsTest, KeepsOrderWhenAMappingGrewWhileItWasRead) {
  EXPECT_THAT(
      mappings_in("1000-5000 r\n1000-6000 r\n2000-3000 r\n6000-7000 r\n"),
      ElementsAre(AddrRange{0x1000, 0x5000}, AddrRange{0x5000, 0x6000}, AddrRange{0x6000, 0x7000}));
}

TEST(MapsTest, RefusesOtherText) {
  for (const char* text :
       {"\n", "x\n", "1000\n", "1000-\n", "1000-2000\n", "1000 2000 r\n", "-1000-2000 r\n",
        "2000-1000 r\n", "1000-1000 r\n", "1000-2000r\n", "g000-2000 r\n",
        "10000000000000000-10000000000001000 r\n", "1000-2000 r\n\n3000-4000 r\n"}) {
    const auto mappings = parse_maps(text);
    ASSERT_FALSE(mappings) << text;
    EXPECT_EQ(EINVAL, mappings.error().code) << text;
  }
  EXPECT_THAT(parse_maps("1000-2000 r\nrubbish\n").error().message, HasSubstr("rubbish"));
}

TEST(MapsTest, ReadsALongFile) {
  const TempTree tree;
  std::string text;
  std::vector<AddrRange> expected;
  for (uint64_t i = 1; i <= 60000; ++i) {
    expected.push_back({i * 0x10000, i * 0x10000 + 0x1000});
    text += fmt::format("{:08x}-{:08x} rw-p 00000000 00:00 0 \n", expected.back().start,
                        expected.back().end);
  }
  tree.write(TempTree::of_process(::getpid(), "maps"), text);
  const auto process = Process::open(::getpid(), tree.paths());
  ASSERT_TRUE(process);
  const auto mappings = read_maps(**process);
  ASSERT_TRUE(mappings);
  EXPECT_EQ(expected, *mappings);
}

TEST(MapsTest, FindsOurOwnMapping) {
  constexpr size_t kSize = size_t{1} << 20;
  void* memory = ::mmap(nullptr, kSize, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(MAP_FAILED, memory);
  const auto start = reinterpret_cast<uint64_t>(memory);
  const auto process = Process::open(::getpid(), Paths());
  ASSERT_TRUE(process);
  const auto mappings = read_maps(**process);
  ASSERT_TRUE(mappings);
  uint64_t found = 0;
  for (size_t i = 0; i < mappings->size(); ++i) {
    const AddrRange& range = (*mappings)[i];
    if (range.start <= start && start + kSize <= range.end) ++found;
    if (i > 0) {
      EXPECT_LE((*mappings)[i - 1].end, range.start);
    }
  }
  EXPECT_EQ(1U, found);
  ::munmap(memory, kSize);
}

TEST(MapsTest, ReportsAFileThatCannotBeRead) {
  const TempTree tree;
  tree.make_folder(TempTree::of_process(::getpid(), "maps"));
  const auto process = Process::open(::getpid(), tree.paths());
  ASSERT_TRUE(process);
  const auto mappings = read_maps(**process);
  ASSERT_FALSE(mappings);
  EXPECT_EQ(EISDIR, mappings.error().code);
}

}  // namespace
}  // namespace damonfs
