// MOUNT/damonfs/kdamonds: the directories that mirror those of kdamonds and contexts, and their
// files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/fs/damon/state_commands_fixture.h"

namespace damonfs::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const std::string kMirror = "/damonfs/kdamonds/";
const std::string kSweep = kMirror + "0/contexts/0/sweep";

class MirrorTest : public StateTest {};

TEST_F(MirrorTest, ComesAndGoesWithTheDirectoriesOfTheAbi) {
  EXPECT_THAT(tree_.directories(kMirror),
              ElementsAre(kMirror + "0/", kMirror + "0/contexts/", kMirror + "0/contexts/0/"));
  set("kdamonds/0/contexts/nr_contexts", "0");
  EXPECT_THAT(tree_.directories(kMirror), ElementsAre(kMirror + "0/", kMirror + "0/contexts/"));
  set("kdamonds/nr_kdamonds", "2");
  EXPECT_THAT(tree_.directories(kMirror), ElementsAre(kMirror + "0/", kMirror + "0/contexts/",
                                                      kMirror + "1/", kMirror + "1/contexts/"));
  set("kdamonds/1/contexts/nr_contexts", "1");
  EXPECT_TRUE(tree_.exists(kMirror + "1/contexts/0/sweep"));
  set("kdamonds/nr_kdamonds", "0");
  EXPECT_THAT(tree_.directories(kMirror), IsEmpty());
}

TEST_F(MirrorTest, AFileOfARemovedContextAnswersEnodev) {
  const auto open = tree_.open(kSweep);
  set("kdamonds/0/contexts/nr_contexts", "1");
  const auto text = tree_.read(open);
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().code, ENODEV);
}

TEST_F(MirrorTest, SweepIsAPercentage) {
  EXPECT_EQ(tree_.read(kSweep), "0\n");  // as the fake machine has it
  for (const auto& [written, shown] : std::vector<std::pair<std::string, std::string>>{
           {"1", "1\n"}, {"0.5\n", "0.5\n"}, {"100", "100\n"}, {"0", "0\n"}, {"2.25", "2.25\n"}}) {
    EXPECT_EQ(tree_.write(kSweep, written), 0) << written;
    EXPECT_EQ(tree_.read(kSweep), shown);
  }
}

TEST_F(MirrorTest, WhatIsNoPercentageIsRefusedAndChangesNothing) {
  set(kSweep, "3");
  for (const char* wrong : {"", "x", "-1", "100.01", "101", "1 2", "1%", "nan", "inf", "0x1"}) {
    EXPECT_EQ(tree_.write(kSweep, wrong), EINVAL) << wrong;
    EXPECT_EQ(tree_.read(kSweep), "3\n");
  }
}

TEST_F(MirrorTest, SweepCountsFromTheNextOnOrCommit) {
  set(kSweep, "2");
  turn_on();
  EXPECT_THAT(tree_.snapshot("/damonfs/status.json"), testing::HasSubstr("\"percent\":2.0"));
  set(kSweep, "4");
  EXPECT_THAT(tree_.snapshot("/damonfs/status.json"), testing::HasSubstr("\"percent\":2.0"));
  EXPECT_EQ(command("commit"), 0);
  EXPECT_THAT(tree_.snapshot("/damonfs/status.json"), testing::HasSubstr("\"percent\":4.0"));
}

}  // namespace
}  // namespace damonfs::test
