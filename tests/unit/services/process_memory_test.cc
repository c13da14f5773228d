#include "services/process_memory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>

#include "ops/procfs/process.h"

namespace damonfs::test {
namespace {

TEST(ProcessMemory, KindsOfPages) {
  const auto named = parse_named_mappings(
      "00400000-00500000 r-xp 00001000 fd:01 42                         /usr/bin/x y\n"
      "00500000-00600000 rw-p 00000000 00:00 0                          [heap]\n"
      "00600000-00700000 rw-s 00002000 00:01 77                         /memfd:a (deleted)\n");
  ASSERT_TRUE(named);
  ASSERT_EQ(named->size(), 3U);
  const auto file = ProcessMapping::of((*named)[0]);
  EXPECT_EQ(file.kind, PageKind::file);
  EXPECT_EQ(file.inode, 42U);
  EXPECT_EQ(file.offset, 0x1000U);
  EXPECT_EQ(ProcessMapping::of((*named)[1]),
            (ProcessMapping{{0x500000, 0x600000}, PageKind::anon, 0, 0, 0}));
  const auto shared = ProcessMapping::of((*named)[2]);
  EXPECT_EQ(shared.kind, PageKind::shmem);
  EXPECT_EQ(shared.inode, 77U);
  EXPECT_EQ(shared.offset, 0x2000U);
}

TEST(ProcessMemory, OfThisProcess) {
  const auto process = Process::open(::getpid(), Paths{});
  ASSERT_TRUE(process);
  const ProcessReader reader = procfs_reader();
  const auto usage = reader.usage(**process);
  ASSERT_TRUE(usage);
  EXPECT_EQ(usage->comm, "unit_services");
  EXPECT_GT(usage->anon, 0U);
  EXPECT_GT(usage->file, 0U);
  const auto mappings = reader.mappings(**process);
  ASSERT_TRUE(mappings);
  EXPECT_GT(mappings->size(), 10U);
}

TEST(ProcessMemory, WhatIsNoProcessOfThisMachine) {
  class Described final : public TargetHandle {
    [[nodiscard]] bool same_as(const TargetHandle&) const override { return false; }
  };
  const Described described;
  EXPECT_EQ(procfs_reader().usage(described).error().code, ENOTSUP);
  EXPECT_EQ(procfs_reader().mappings(described).error().code, ENOTSUP);
}

}  // namespace
}  // namespace damonfs::test
