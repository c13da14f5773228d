#include "services/symbols.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "services/memory_groups.h"
#include "services/memory_names.h"
#include "tests/unit/ops/temp_tree.h"

extern "C" __attribute__((noinline)) int damonfs_symbol_of_a_test(int value) { return value + 1; }

namespace damonfs {
namespace {

TEST(FileSymbols, NamesAFunctionOfThisProgram) {
  const auto address = reinterpret_cast<uint64_t>(&damonfs_symbol_of_a_test);
  MemoryNames names(::getpid());
  ASSERT_TRUE(names.update());
  const NamedMapping* mapping = names.at(address);
  ASSERT_NE(nullptr, mapping);
  const auto symbols = FileSymbols::open(names.file_of(*mapping));
  ASSERT_TRUE(symbols) << symbols.error().message;
  EXPECT_EQ("damonfs_symbol_of_a_test",
            (*symbols)->at(mapping->offset + (address - mapping->range.start)));
  EXPECT_EQ("", (*symbols)->at(UINT64_MAX));
}

TEST(FileSymbols, RefusesWhatIsNoProgram) {
  const TempTree tree;
  tree.write("proc/text", "hello");
  EXPECT_EQ(EINVAL, FileSymbols::open(tree.path("proc/text")).error().code);
  EXPECT_EQ(ENOENT, FileSymbols::open(tree.path("proc/none")).error().code);
}

TEST(MemoryGroups, BySymbolTellsFunctionsApart) {
  MemoryNames names(::getpid());
  ASSERT_TRUE(names.update());
  const auto address = reinterpret_cast<uint64_t>(&damonfs_symbol_of_a_test);
  const NamedMapping* mapping = names.at(address);
  ASSERT_NE(nullptr, mapping);
  MemoryGroups groups(GroupBy::symbol);
  groups.add(names, mapping->range, 0);
  const auto found = groups.finish();
  EXPECT_GT(found.size(), 1U) << "one function a page at most, but more than one in all";
  uint64_t sum = 0;
  for (const MemoryGroup& group : found) {
    sum += group.total();
    EXPECT_THAT(group.name, testing::StartsWith(mapping->name));
  }
  EXPECT_EQ(mapping->range.size(), sum);
}

}  // namespace
}  // namespace damonfs
