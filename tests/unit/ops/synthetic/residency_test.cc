#include "ops/synthetic/residency.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <random>
#include <string>

#include "core/base/page_size.h"
#include "tests/unit/units.h"

namespace damonfs {
namespace {

constexpr uint64_t kInterval = 5000000;

// The memory of the one process of a pattern.
struct ProcessMemory {
  explicit ProcessMemory(const std::string& text)
      : pattern(*parse_pattern("process 1\n" + text)), residency(pattern.processes[0]) {}

  void page_out(AddrRange range) {
    residency.visit(range, [](Residency::Piece& piece) { piece.out = 1; });
  }
  // Pages that are there at `ns`.
  uint64_t pages_at(uint64_t ns) {
    residency.settle(ns, kInterval);
    return residency.resident() / kPageSize;
  }

  Pattern pattern;
  Residency residency;
};

TEST(ResidencyTest, AllIsThereAtFirst) {
  ProcessMemory memory(
      "map a 0 16K\nmap b 2M 8M huge 2M\nmap c 32M 4K\nphase 1s\nabsent c\nphase 1s\n");
  EXPECT_EQ(8 * kMiB + 4 * kPageSize, memory.residency.mapped());
  EXPECT_EQ(8 * kMiB + 4 * kPageSize, memory.residency.resident());
  EXPECT_EQ(0U, memory.residency.resident_on(1));
  memory.residency.settle(kSecond, kInterval);
  EXPECT_EQ(8 * kMiB + 5 * kPageSize, memory.residency.mapped()) << "c has come";
}

TEST(ResidencyTest, WhatNobodyAccessesStaysAway) {
  ProcessMemory memory("map a 0 16K\nphase 1s\naccess a 8K 8K always\n");
  memory.page_out({0, 2 * kPageSize});
  EXPECT_EQ(2U, memory.pages_at(3600 * kSecond));
  EXPECT_EQ(0U, memory.residency.brought_back());
  EXPECT_EQ(2U, memory.residency.nr_pieces());
}

TEST(ResidencyTest, WhatIsAccessedComesBack) {
  ProcessMemory memory("map a 0 16K\nphase 1s\nphase 1s\naccess a 4K 8K always\n");
  memory.page_out({0, 4 * kPageSize});
  EXPECT_EQ(0U, memory.pages_at(kSecond)) << "in the first phase nothing is accessed";
  EXPECT_EQ(2U, memory.pages_at(kSecond + 1));
  EXPECT_EQ(2 * kPageSize, memory.residency.brought_back());
}

TEST(ResidencyTest, ComesBackInTheMean) {
  // Of 256 pages, each accessed once a second on average, 256 * (1 - 1/e) = 161.8 are back in one.
  ProcessMemory once("map a 0 1M\nphase 1h\naccess a 1/s\n");
  once.page_out({0, kMiB});
  EXPECT_EQ(162U, once.pages_at(kSecond));
  EXPECT_EQ(162 * kPageSize, once.residency.brought_back());
  ProcessMemory in_steps("map a 0 1M\nphase 1h\naccess a 1/s\n");
  in_steps.page_out({0, kMiB});
  for (uint64_t ns = 0; ns < kSecond; ns += kSecond / 8) (void)in_steps.pages_at(ns);
  EXPECT_EQ(162U, in_steps.pages_at(kSecond)) << "however often one looks";
  EXPECT_EQ(162U, in_steps.pages_at(kSecond / 2)) << "time does not go back";
}

TEST(ResidencyTest, RatesByTheInterval) {
  // Half of what is away comes back in each interval: 128, then 64 of 256 pages are away.
  ProcessMemory memory("map a 0 1M\nphase 1h\naccess a 50%\n");
  memory.page_out({0, kMiB});
  EXPECT_EQ(128U, memory.pages_at(kInterval));
  EXPECT_EQ(192U, memory.pages_at(2 * kInterval));
  ProcessMemory at_once("map a 0 1M\nphase 1h\naccess a 50%\n");
  at_once.page_out({0, kMiB});
  EXPECT_EQ(192U, at_once.pages_at(2 * kInterval));
}

TEST(ResidencyTest, HugePagesComeBackAsOne) {
  ProcessMemory memory("map a 2M 6M huge 2M\nphase 1h\naccess a 2M 4K always\n");
  memory.page_out({0, 16 * kMiB});
  EXPECT_EQ(512U, memory.pages_at(1));
}

TEST(ResidencyTest, MappingsThatComeAreNew) {
  ProcessMemory memory("map a 0 16K\nphase 1s\nphase 1s\nabsent a\nphase 1s\n");
  memory.page_out({0, 4 * kPageSize});
  EXPECT_EQ(0U, memory.pages_at(kSecond / 2));
  memory.residency.settle(kSecond, kInterval);
  EXPECT_EQ(0U, memory.residency.mapped());
  EXPECT_EQ(4U, memory.pages_at(2 * kSecond));
  ProcessMemory not_looked("map a 0 16K\nphase 1s\nphase 1s\nabsent a\nphase 1s\nend loop\n");
  not_looked.page_out({0, 4 * kPageSize});
  EXPECT_EQ(4U, not_looked.pages_at(30 * kSecond)) << "gone and back since, ten times";
}

TEST(ResidencyTest, VisitsOnlyWhatIsAskedFor) {
  ProcessMemory memory("map a 0 16K\nmap b 16K 16K\nphase 1s\n");
  std::vector<AddrRange> seen;
  memory.residency.visit({kPageSize, 6 * kPageSize},
                         [&](const Residency::Piece& piece) { seen.push_back(piece.range); });
  ASSERT_EQ(2U, seen.size());
  EXPECT_EQ((AddrRange{kPageSize, 4 * kPageSize}), seen[0]);
  EXPECT_EQ((AddrRange{4 * kPageSize, 6 * kPageSize}), seen[1]);
  EXPECT_EQ(2U, memory.residency.nr_pieces()) << "joined again";
}

TEST(ResidencyTest, AProcessThatExitedHasNoMemory) {
  ProcessMemory memory("map a 0 16K\nphase 1s\nend exit\n");
  EXPECT_EQ(4U, memory.pages_at(kSecond - 1));
  EXPECT_EQ(0U, memory.pages_at(kSecond));
  EXPECT_EQ(0U, memory.residency.mapped());
}

TEST(ResidencyTest, PiecesStayFewAndBytesStay) {
  ProcessMemory memory("map a 0 1G\nphase 10h\naccess a 0.001/s\n");
  std::mt19937_64 random(1);
  size_t max = 0;
  for (uint64_t i = 1; i <= 20000; ++i) {
    const uint64_t start = random() % 262000 * kPageSize;
    memory.page_out({start, start + (1 + random() % 200) * kPageSize});
    memory.residency.settle(i * kSecond / 10, kInterval);
    max = std::max(max, memory.residency.nr_pieces());
  }
  EXPECT_GE(1024U + 2, max);
  double sum = 0;
  memory.residency.visit({0, uint64_t{1} << 30}, [&](const Residency::Piece& piece) {
    sum += piece.bytes_in() + piece.bytes_out();
  });
  EXPECT_DOUBLE_EQ(static_cast<double>(uint64_t{1} << 30), sum);
}

}  // namespace
}  // namespace damonfs
