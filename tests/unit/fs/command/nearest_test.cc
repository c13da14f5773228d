#include "fs/command/nearest.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace damonfs {
namespace {

const std::vector<std::string> kWords = {"mount", "umount", "watch", "wss", "status", "state"};

TEST(NearestTest, EditDistance) {
  EXPECT_EQ(edit_distance("", ""), 0u);
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("watch", "watch"), 0u);
  EXPECT_EQ(edit_distance("wacth", "watch"), 1u);
  EXPECT_EQ(edit_distance("target", "targets"), 1u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
}

TEST(NearestTest, FindsWhatWasMeant) {
  EXPECT_EQ(nearest("wacth", kWords), "watch");
  EXPECT_EQ(nearest("moutn", kWords), "mount");
  EXPECT_EQ(nearest("stats", kWords), "status");  // the first of two that are equally near
  EXPECT_EQ(nearest("statsu", kWords), "status");
}

TEST(NearestTest, DoesNotGuessWildly) {
  EXPECT_EQ(nearest("frobnicate", kWords), "");
  EXPECT_EQ(nearest("", kWords), "");
  EXPECT_EQ(nearest("x", std::vector<std::string>{"y"}), "");
  EXPECT_EQ(nearest(std::string(100000, 'w'), kWords), "");
}

TEST(NearestTest, IsAHalfSentence) {
  EXPECT_EQ(did_you_mean("wach", kWords), "; did you mean watch?");
  EXPECT_EQ(did_you_mean("frobnicate", kWords), "");
}

}  // namespace
}  // namespace damonfs
