#include "ops/procfs/system_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/ops/vaddr/vaddr_actions_fixtures.h"

namespace damonfs {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class SystemMetricsTest : public testing::Test {
 protected:
  FakeSystem system_;
  SystemMetrics metrics_{system_.paths()};
  LogCapture log_;
};

TEST_F(SystemMetricsTest, FreeMemory) {
  system_.write("proc/meminfo",
                "MemTotal:        3000 kB\nMemFree:         1000 kB\nMemAvailable:    2000 kB\n");
  EXPECT_EQ(metrics_.free_mem_permille(), 333);
  EXPECT_THAT(log_.lines(), IsEmpty());
}

TEST_F(SystemMetricsTest, ValuesAreReadAnew) {
  system_.write("proc/meminfo", "MemTotal: 1000 kB\nMemFree: 1000 kB\n");
  EXPECT_EQ(metrics_.free_mem_permille(), 1000);
  system_.write("proc/meminfo", "MemTotal: 1000 kB\nMemFree:    1 kB\n");
  EXPECT_EQ(metrics_.free_mem_permille(), 1);
}

TEST_F(SystemMetricsTest, PressureIsTheTotalOfSome) {
  system_.write("proc/pressure/memory",
                "some avg10=0.00 avg60=0.00 avg300=0.00 total=12345678901\n"
                "full avg10=0.00 avg60=0.00 avg300=0.00 total=99\n");
  EXPECT_EQ(metrics_.some_mem_psi_us(), 12345678901);
}

TEST_F(SystemMetricsTest, NodeMemory) {
  system_.write("sys/devices/system/node/node1/meminfo",
                "Node 1 MemTotal:       8000 kB\nNode 1 MemFree:        2000 kB\n"
                "Node 1 MemUsed:        6000 kB\n");
  EXPECT_EQ(metrics_.node_mem_used_bp(1), 7500);
}

TEST_F(SystemMetricsTest, ANodeThatIsNotThereIsNotUsed) {
  EXPECT_EQ(metrics_.node_mem_used_bp(7), 0);
  EXPECT_EQ(metrics_.node_mem_used_bp(-1), 0);
  EXPECT_EQ(metrics_.node_memcg_used_bp(7, "/a"), 0);
}

// (100 + 200 + 300 + 400) KiB of 8,000 KiB; what is on no such list does not count.
TEST_F(SystemMetricsTest, CgroupOnANode) {
  system_.write("sys/devices/system/node/node1/meminfo",
                "Node 1 MemTotal: 8000 kB\nNode 1 MemFree: 2000 kB\n");
  system_.write("cgroup/a/b/memory.numa_stat",
                "anon N0=4096 N1=8192\nfile N0=0 N1=0\n"
                "inactive_anon N0=1 N1=102400\nactive_anon N0=2 N1=204800 N10=77\n"
                "inactive_file N0=3 N1=307200\nactive_file N0=4 N1=409600\n"
                "unevictable N0=5 N1=5\n");
  EXPECT_EQ(metrics_.node_memcg_used_bp(1, "/a/b"), 1250);
  EXPECT_EQ(metrics_.node_memcg_used_bp(1, "/a/b\n"), 1250);
}

TEST_F(SystemMetricsTest, ACgroupHasNoMoreThanItsNode) {
  system_.write("sys/devices/system/node/node0/meminfo", "Node 0 MemTotal: 1000 kB\n");
  system_.write("cgroup/a/memory.numa_stat", "active_anon N0=2048000\n");
  EXPECT_EQ(metrics_.node_memcg_used_bp(0, "/a"), 10000);
}

TEST_F(SystemMetricsTest, ACgroupThatIsNotThereUsesNothing) {
  system_.write("sys/devices/system/node/node0/meminfo",
                "Node 0 MemTotal: 8000 kB\nNode 0 MemFree: 2000 kB\n");
  EXPECT_EQ(metrics_.node_memcg_used_bp(0, "/gone"), 0);
  EXPECT_EQ(metrics_.node_memcg_used_bp(0, ""), 0);
}

// A file that went and came again under the same name is opened anew.
TEST_F(SystemMetricsTest, ACgroupMayComeLater) {
  system_.write("sys/devices/system/node/node0/meminfo",
                "Node 0 MemTotal: 1000 kB\nNode 0 MemFree: 0 kB\n");
  EXPECT_EQ(metrics_.node_memcg_used_bp(0, "/a"), 0);
  system_.write("cgroup/a/memory.numa_stat", "active_anon N0=102400\n");
  EXPECT_EQ(metrics_.node_memcg_used_bp(0, "/a"), 1000);
}

TEST_F(SystemMetricsTest, ActiveMemory) {
  system_.write("proc/meminfo",
                "Active:           300 kB\nInactive:         600 kB\nActive(anon):     100 kB\n"
                "Inactive(anon):   100 kB\n");
  EXPECT_EQ(metrics_.active_mem_bp(), 3333);
}

TEST_F(SystemMetricsTest, NothingOnTheListsIsNotActive) {
  system_.write("proc/meminfo", "Active: 0 kB\nInactive: 0 kB\n");
  EXPECT_EQ(metrics_.active_mem_bp(), 0);
}

TEST_F(SystemMetricsTest, HugePagesOfMemoryInUse) {
  const std::string memory = "MemTotal: 3000 kB\nMemFree: 1000 kB\n";
  system_.write("proc/meminfo", memory +
                                    "AnonHugePages:      200 kB\nShmemHugePages:     40 kB\n"
                                    "ShmemPmdMapped:     40 kB\nFileHugePages:       20 kB\n"
                                    "FilePmdMapped:      20 kB\nHugetlb:            512 kB\n");
  EXPECT_EQ(metrics_.hugepage_mem_bp(), 1300);
  system_.write("proc/meminfo", memory);
  EXPECT_EQ(metrics_.hugepage_mem_bp(), 0) << "a kernel without them";
  system_.write("proc/meminfo", "MemTotal: 3000 kB\nMemFree: 3000 kB\nAnonHugePages: 200 kB\n");
  EXPECT_EQ(metrics_.hugepage_mem_bp(), 0);
}

TEST_F(SystemMetricsTest, WhatCannotBeReadCountsAsNothingUsed) {
  EXPECT_EQ(metrics_.free_mem_permille(), 1000);
  EXPECT_EQ(metrics_.some_mem_psi_us(), 0);
  EXPECT_EQ(metrics_.active_mem_bp(), 0);
  EXPECT_EQ(metrics_.hugepage_mem_bp(), 0);
  system_.write("proc/meminfo", "nonsense\nMemTotal: much\n");
  EXPECT_EQ(metrics_.free_mem_permille(), 1000);
  EXPECT_EQ(metrics_.active_mem_bp(), 0);
}

TEST_F(SystemMetricsTest, OneWarningAKindOfFile) {
  for (int i = 0; i < 3; ++i) {
    static_cast<void>(metrics_.some_mem_psi_us());
    static_cast<void>(metrics_.free_mem_permille());
    static_cast<void>(metrics_.node_mem_used_bp(i));
  }
  ASSERT_THAT(log_.lines(), SizeIs(3));
  EXPECT_THAT(log_.lines()[0], HasSubstr("pressure/memory: No such file"));
}

TEST(SystemMetricsOfThisMachine, AreSane) {
  SystemMetrics metrics{Paths()};
  EXPECT_GT(metrics.free_mem_permille(), 0);
  EXPECT_LE(metrics.free_mem_permille(), 1000);
  EXPECT_LE(metrics.active_mem_bp(), 10000);
  EXPECT_LE(metrics.hugepage_mem_bp(), 10000);
  EXPECT_GT(metrics.node_mem_used_bp(0), 0);
  EXPECT_LE(metrics.node_mem_used_bp(0), 10000);
}

}  // namespace
}  // namespace damonfs
