#include "fs/record/target_memory.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <iterator>

#include "fs/command/child.h"

namespace damonfs::test {
namespace {

std::ptrdiff_t nr_open_files() {
  const std::filesystem::directory_iterator files("/proc/self/fd");
  return std::distance(begin(files), end(files));
}

TEST(TargetMemoriesTest, ProcessesThatHaveEndedAreNotHeld) {
  auto child = Child::start({"sleep", "1000"}, {});
  ASSERT_TRUE(child) << child.error().message;
  auto memories = TargetMemories::make("");
  ASSERT_TRUE(memories);
  FrameBuilder builder({});
  const std::ptrdiff_t before = nr_open_files();
  const KdamondRegions::OfTarget regions{0, child->pid(), {{{0x1000, 0x2000}, 0, 0, {}}}};
  EXPECT_EQ(memories->update(regions, 0, builder), 1);
  memories->forget_ended(builder);
  memories->forget_ended(builder);
  EXPECT_EQ(memories->update(regions, 1, builder), 1);  // it lives, though one snapshot left it out
  EXPECT_GT(nr_open_files(), before);
  child->stop(kCommandSeconds);
  EXPECT_EQ(memories->update(regions, 2, builder), 1);  // told of for a moment still
  memories->forget_ended(builder);
  EXPECT_EQ(memories->update(regions, 3, builder), 1);
  memories->forget_ended(builder);
  EXPECT_GT(nr_open_files(), before);
  memories->forget_ended(builder);
  EXPECT_EQ(nr_open_files(), before);
}

}  // namespace
}  // namespace damonfs::test
