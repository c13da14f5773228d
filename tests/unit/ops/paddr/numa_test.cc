#include "ops/paddr/numa.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "core/base/page_size.h"
#include "tests/unit/ops/vaddr/vaddr_actions_fixtures.h"

namespace damonfs {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr uint64_t kBlockPages = 1024;  // in a memory block of 4 MiB

// Memory blocks 0, 1 and 3 are node 0's, block 2 is node 1's.
class NodesTest : public testing::Test {
 protected:
  NodesTest() {
    system_.write("sys/devices/system/memory/block_size_bytes", "400000\n");
    for (const char* block : {"node0/memory0", "node0/memory3", "node0/memory1", "node1/memory2"}) {
      system_.make_folder(std::string("sys/devices/system/node/") + block);
    }
    for (const char* file : {"node0/memory_failure", "node0/meminfo", "node2/meminfo"}) {
      system_.write(std::string("sys/devices/system/node/") + file, "");
    }
  }
  static AddrRange blocks(uint64_t first, uint64_t last) {
    return {first * kBlockPages * kPageSize, last * kBlockPages * kPageSize};
  }
  NodeShare share(const RangeList& memory, int nid) {
    Kpageflags frames(system_.paths());
    return pages_on_node(memory, nid, frames, system_.paths());
  }

  FakeSystem system_;
};

TEST_F(NodesTest, ANodeHasItsMemoryBlocks) {
  EXPECT_THAT(node_memory(system_.paths(), 0).value(), ElementsAre(blocks(0, 2), blocks(3, 4)));
  EXPECT_THAT(node_memory(system_.paths(), 1).value(), ElementsAre(blocks(2, 3)));
}

TEST_F(NodesTest, WithoutMemoryBlocksItHasItsZones) {
  system_.write("proc/zoneinfo",
                "Node 0, zone      DMA\n  pages free     2814\n        spanned  4095\n"
                "  start_pfn:           1\n"
                "Node 2, zone   Normal\n  pages free     1\n        spanned  1024\n"
                "        present  1024\n  start_pfn:           8192\n"
                "Node 2, zone    DMA32\n        spanned  4096\n  start_pfn:           4096\n"
                "Node 2, zone  Movable\n        spanned  0\n  start_pfn:           0\n"
                "Node 2, zone   Device\n        spanned  16\n  start_pfn:           65536\n");
  EXPECT_THAT(node_memory(system_.paths(), 2).value(),
              ElementsAre(AddrRange{4096 * kPageSize, 9216 * kPageSize},
                          AddrRange{65536 * kPageSize, 65552 * kPageSize}));
  EXPECT_THAT(node_memory(system_.paths(), 0).value(), ElementsAre(blocks(0, 2), blocks(3, 4)));
}

TEST_F(NodesTest, WhatIsNotThereIsAnError) {
  EXPECT_EQ(node_memory(system_.paths(), 2).error().code, ENOENT) << "without zoneinfo";
  EXPECT_EQ(node_memory(system_.paths(), 3).error().code, ENOENT);
  EXPECT_EQ(node_memory(system_.paths(), -1).error().code, ENOENT);
  for (const char* size : {"", "0\n", "some\n", "10x\n"}) {
    system_.write("sys/devices/system/memory/block_size_bytes", size);
    const auto memory = node_memory(system_.paths(), 0);
    ASSERT_FALSE(memory) << size;
    EXPECT_EQ(memory.error().code, EINVAL) << size;
    EXPECT_THAT(memory.error().message, HasSubstr("block_size_bytes"));
  }
}

TEST_F(NodesTest, PagesOnReclaimsListsAreCounted) {
  using namespace frame_flags;
  system_.set_flags(kBlockPages * 2 - 1, kLru);
  system_.set_flags(kBlockPages * 2, kLru | kAnon);
  system_.set_flags(kBlockPages * 2 + 1, kAnon);  // the kernel's, say
  system_.set_flags(kBlockPages * 3, kLru | kCompoundHead);
  for (uint64_t i = 1; i < 512; ++i) system_.set_flags(kBlockPages * 3 + i, kCompoundTail);
  system_.set_flags(kBlockPages * 4 - 1, kLru);

  const RangeList all{blocks(0, 4)};
  EXPECT_EQ(share(all, 0).all, 515 * kPageSize);
  EXPECT_EQ(share(all, 0).on_node, 514 * kPageSize);
  EXPECT_EQ(share(all, 1).all, 515 * kPageSize);
  EXPECT_EQ(share(all, 1).on_node, kPageSize);
  const RangeList two{blocks(1, 2), blocks(2, 3)};
  EXPECT_EQ(share(two, 1).all, 2 * kPageSize);
  EXPECT_EQ(share(two, 1).on_node, kPageSize);
  EXPECT_EQ(share(all, 7).all, 515 * kPageSize) << "on no node";
  EXPECT_EQ(share(all, 7).on_node, 0U);
  EXPECT_EQ(share({}, 0).all, 0U);
}

TEST_F(NodesTest, WithoutFramesThereIsNothing) { EXPECT_EQ(share({blocks(0, 4)}, 0).all, 0U); }

}  // namespace
}  // namespace damonfs
