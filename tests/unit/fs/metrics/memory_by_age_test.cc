#include "fs/metrics/memory_by_age.h"

#include <gtest/gtest.h>

#include <limits>

namespace damonfs::test {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr size_t kAnon = static_cast<size_t>(PageKind::anon);
constexpr size_t kFile = static_cast<size_t>(PageKind::file);
constexpr size_t kShmem = static_cast<size_t>(PageKind::shmem);

AgedRange aged(uint64_t start, uint64_t end, size_t age, bool accessed = false) {
  return {{start * kMiB, end * kMiB}, age, accessed};
}

ProcessMapping mapped(uint64_t start, uint64_t end, PageKind kind, uint64_t inode = 0,
                      uint64_t offset = 0) {
  return {{start * kMiB, end * kMiB}, kind, inode == 0 ? 0U : 7U, inode, offset * kMiB};
}

ProcessUsage resident(uint64_t anon, uint64_t file, uint64_t shmem) {
  return {.comm = "x", .anon = anon * kMiB, .file = file * kMiB, .shmem = shmem * kMiB};
}

TEST(AgedMemory, StepsOfIdleTime) {
  EXPECT_EQ(age_name(idle_step(0)), "0s");
  EXPECT_EQ(age_name(idle_step(999'999)), "0s");
  EXPECT_EQ(age_name(idle_step(1'000'000)), "1s");
  EXPECT_EQ(age_name(idle_step(59'999'999)), "10s");
  EXPECT_EQ(age_name(idle_step(60'000'000)), "1m");
  EXPECT_EQ(age_name(idle_step(86'400'000'000)), "1d");
  EXPECT_EQ(age_name(idle_step(std::numeric_limits<uint64_t>::max())), "1d");
  EXPECT_EQ(age_name(kUnknownAge), "unknown");
}

TEST(AgedMemory, OnlyWhatIsMappedCounts) {
  const std::vector<AgedRange> ranges = {aged(0, 10, 0, true), aged(10, 30, 3)};
  const std::vector<ProcessMapping> mappings = {mapped(5, 12, PageKind::anon),
                                                mapped(20, 22, PageKind::file, 1)};
  const AgedProcess process{ranges, false, &mappings, {}, std::nullopt};
  const AgedMemory memory = memory_by_age({&process, 1});
  EXPECT_EQ(memory.bytes[0][kAnon], 5 * kMiB);
  EXPECT_EQ(memory.bytes[3][kAnon], 2 * kMiB);
  EXPECT_EQ(memory.bytes[3][kFile], 2 * kMiB);
  EXPECT_EQ(memory.accessed, 5 * kMiB);
  EXPECT_EQ(memory.of_kind(kAnon), 7 * kMiB);
  EXPECT_EQ(memory.of_age(3), 4 * kMiB);
}

TEST(AgedMemory, IdleMemoryIsScaledToWhatIsResident) {
  // 4 MiB are accessed; of 1,000 MiB that are not, 50 are resident.
  const std::vector<AgedRange> ranges = {aged(0, 4, 0, true), aged(4, 504, 1), aged(504, 1004, 4)};
  const std::vector<ProcessMapping> mappings = {mapped(0, 1004, PageKind::anon)};
  const AgedProcess process{ranges, false, &mappings, {}, resident(54, 0, 0)};
  const AgedMemory memory = memory_by_age({&process, 1});
  EXPECT_EQ(memory.bytes[0][kAnon], 4 * kMiB);
  EXPECT_EQ(memory.bytes[1][kAnon], 25 * kMiB);
  EXPECT_EQ(memory.bytes[4][kAnon], 25 * kMiB);
  EXPECT_EQ(memory.of_kind(kAnon), 54 * kMiB);
}

TEST(AgedMemory, NoMoreIsAccessedThanIsResident) {
  const std::vector<AgedRange> ranges = {aged(0, 8, 0, true), aged(8, 16, 2)};
  const std::vector<ProcessMapping> mappings = {mapped(0, 16, PageKind::anon)};
  const AgedProcess process{ranges, false, &mappings, {}, resident(2, 0, 0)};
  const AgedMemory memory = memory_by_age({&process, 1});
  EXPECT_EQ(memory.accessed, 2 * kMiB);
  EXPECT_EQ(memory.bytes[2][kAnon], 0U);
}

TEST(AgedMemory, SharedMemoryCountsOnceAsAccessedLast) {
  const std::vector<ProcessMapping> mappings = {mapped(0, 8, PageKind::shmem, 5, 2)};
  const std::vector<ProcessMapping> elsewhere = {mapped(100, 110, PageKind::shmem, 5, 0)};
  const std::vector<AgedRange> ranges = {aged(0, 8, 3)};
  // Of the object's MiB 0 to 10, this one accesses 4 to 6.
  const std::vector<AgedRange> others = {aged(100, 104, 5), aged(104, 106, 0, true),
                                         aged(106, 110, 5)};
  const AgedProcess processes[] = {{ranges, false, &mappings, {}, std::nullopt},
                                   {others, false, &elsewhere, {}, std::nullopt}};
  const AgedMemory memory = memory_by_age(processes);
  EXPECT_EQ(memory.bytes[0][kShmem], 2 * kMiB);
  EXPECT_EQ(memory.bytes[3][kShmem], 6 * kMiB);  // 2 to 4, 6 to 10
  EXPECT_EQ(memory.bytes[5][kShmem], 2 * kMiB);  // 0 to 2
  EXPECT_EQ(memory.of_kind(kShmem), 10 * kMiB);
  EXPECT_EQ(memory.accessed, 2 * kMiB);
}

TEST(AgedMemory, TheSameNumbersOfOtherFilesAreOthers) {
  const std::vector<ProcessMapping> one = {mapped(0, 8, PageKind::file, 5)};
  const std::vector<ProcessMapping> other = {mapped(0, 8, PageKind::file, 6)};
  const std::vector<AgedRange> ranges = {aged(0, 8, 1)};
  const AgedProcess processes[] = {{ranges, false, &one, {}, std::nullopt},
                                   {ranges, false, &other, {}, std::nullopt}};
  EXPECT_EQ(memory_by_age(processes).bytes[1][kFile], 16 * kMiB);
}

TEST(AgedMemory, WhatIsNotKnownIsNotTakenForCold) {
  const std::vector<AgedRange> ranges = {aged(0, 8, kUnknownAge)};
  const std::vector<ProcessMapping> mappings = {mapped(0, 8, PageKind::file, 5)};
  const AgedProcess process{ranges, false, &mappings, {}, std::nullopt};
  EXPECT_EQ(memory_by_age({&process, 1}).bytes[kUnknownAge][kFile], 8 * kMiB);
}

TEST(AgedMemory, PhysicalMemoryAndUnreadableProcesses) {
  const std::vector<AgedRange> ranges = {aged(0, 1, 0, true), aged(1, 4, 2)};
  const AgedProcess processes[] = {{ranges, true, nullptr, {}, std::nullopt},
                                   {ranges, false, nullptr, {}, std::nullopt}};
  const AgedMemory memory = memory_by_age(processes);
  EXPECT_EQ(memory.bytes[2][kPhysicalKind], 3 * kMiB);
  EXPECT_EQ(memory.bytes[2][kUnknownKind], 3 * kMiB);
  EXPECT_EQ(memory.accessed, 2 * kMiB);
}

}  // namespace
}  // namespace damonfs::test
