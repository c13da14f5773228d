#include "fs/daemon/tree_state.h"

#include <gmock/gmock.h>

#include <cerrno>
#include <chrono>
#include <string>

#include "tests/unit/fs/damon/state_commands_fixture.h"

namespace damonfs::test {

namespace {

constexpr std::chrono::milliseconds kPatience{5000};

class TreeStateTest : public StateTest {
 protected:
  std::string saved() { return save_files(tree_.tree()); }
  // What a new daemon makes of the tree as it is now.
  void restore_into(FakeTree& next) {
    const std::string files = saved();
    const std::string contexts = join_contexts(save_contexts(tree_.tree(), {}, kPatience));
    const auto restored = restore(next.tree(), files, contexts);
    ASSERT_TRUE(restored) << restored.error().message;
  }
};

TEST_F(TreeStateTest, FilesOwnersAndModulesAreAsTheyWere) {
  set(kContext + "monitoring_attrs/intervals/sample_us", "1234");
  set(kContext + "schemes/0/core_filters/nr_filters", "1");
  set("/module/damon_reclaim/parameters/min_age", "77");
  FakeTree next;
  restore_into(next);
  EXPECT_EQ(next.read(kContext + "monitoring_attrs/intervals/sample_us"), "1234\n");
  EXPECT_EQ(next.read(kContext + "targets/0/pid_target"), "42\n");
  EXPECT_EQ(next.read(kScheme + "access_pattern/sz/max"), "18446744073709551615\n");
  EXPECT_EQ(next.read(kScheme + "core_filters/nr_filters"), "1\n");
  EXPECT_EQ(next.read("/module/damon_reclaim/parameters/min_age"), "77\n");
  EXPECT_EQ(next.read(kState), "off\n");
  EXPECT_EQ(next.directories(), tree_.directories());
}

TEST_F(TreeStateTest, AKdamondRunsWhatItWasToldNotWhatIsWritten) {
  set(kContext + "monitoring_attrs/intervals/sample_us", "2000");
  turn_on();
  set(kContext + "monitoring_attrs/intervals/sample_us", "3000");
  FakeTree next;
  restore_into(next);
  EXPECT_EQ(next.read(kState), "on\n");
  EXPECT_EQ(next.read(kContext + "monitoring_attrs/intervals/sample_us"), "3000\n");
  EXPECT_EQ(next.write(kState, "update_tuned_intervals"), 0);
  EXPECT_EQ(next.read(kContext + "monitoring_attrs/intervals/sample_us"), "2000\n");
}

TEST_F(TreeStateTest, RegionsAndStatisticsGoOn) {
  turn_on();
  ASSERT_TRUE(eventually([&] {
    EXPECT_EQ(command("update_schemes_stats"), 0);
    return number(kScheme + "stats/nr_tried") > 1000;
  }));
  FakeTree next;
  restore_into(next);
  EXPECT_EQ(next.write(kState, "update_schemes_stats"), 0);
  EXPECT_GT(std::stoull(next.read(kScheme + "stats/nr_tried")), 1000);
}

TEST_F(TreeStateTest, AProcessThatHasGoneIsNotTakenForAnother) {
  turn_on();
  FakeTree next;
  next.dead_pids.insert(42);
  restore_into(next);
  EXPECT_EQ(next.read(kState), "off\n");
  EXPECT_EQ(next.read(kContext + "targets/0/pid_target"), "42\n");
  EXPECT_EQ(next.write(kState, "on"), EINVAL);
}

TEST_F(TreeStateTest, DirectoriesHaveTheNumbersThatTheyHad) {
  const std::string files = saved();
  const uint64_t old = tree_.open(kState).directory->inode();
  FakeTree next;
  ASSERT_TRUE(skip_inodes(next.tree(), files));
  ASSERT_TRUE(restore(next.tree(), files, "{}"));
  const auto directory = next.open(kState).directory;
  EXPECT_GT(directory->inode(), old);
  const auto known = restore_inodes(next.tree(), files);
  ASSERT_TRUE(known);
  EXPECT_EQ(directory->inode(), old);
  EXPECT_THAT(*known, testing::Contains(directory));
  EXPECT_EQ(next.tree().root().inode(), tree_.tree().root().inode());
}

TEST_F(TreeStateTest, ADirectoryWithOtherFilesHasANewNumber) {
  std::string files = saved();
  const uint64_t old = tree_.open(kState).directory->inode();
  FakeTree next;
  ASSERT_TRUE(skip_inodes(next.tree(), files));
  ASSERT_TRUE(restore(next.tree(), files, "{}"));
  const auto at = files.find("state pid ");
  ASSERT_NE(at, std::string::npos);
  files.replace(at, 5, "stale");
  const auto known = restore_inodes(next.tree(), files);
  ASSERT_TRUE(known);
  const auto directory = next.open(kState).directory;
  EXPECT_GT(directory->inode(), old);
  EXPECT_THAT(*known, testing::Not(testing::Contains(directory)));
}

TEST_F(TreeStateTest, NewNumbersAreAboveAllOldOnes) {
  const std::string files = saved();
  Tree next;
  ASSERT_TRUE(skip_inodes(next, files));
  const uint64_t old = tree_.open(kState).directory->inode();
  const std::lock_guard lock(next.mutex());
  EXPECT_GT(next.root().add_child("new", kPlainDirectory, nullptr).inode(), old);
}

TEST_F(TreeStateTest, OtherTextIsRefused) {
  for (const auto* text : {"", "{", "[]", "{\"files\":3}"}) {
    FakeTree next;
    const auto restored = restore(next.tree(), text, "");
    ASSERT_FALSE(restored) << text;
    EXPECT_EQ(restored.error().code, EPROTO);
  }
}

}  // namespace

}  // namespace damonfs::test
