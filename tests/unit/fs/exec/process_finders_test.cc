#include "fs/exec/process_finders.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace damonfs {
namespace {

using testing::ElementsAre;

std::vector<std::string> args_of(std::vector<std::string> words) {
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  return pgrep_args(arguments);
}

TEST(StandInTest, PgrepOfKdamondsLooksAtThreads) {
  EXPECT_THAT(args_of({"pgrep", "kdamond"}), ElementsAre("pgrep", "--lightweight", "kdamond"));
  EXPECT_THAT(args_of({"/a/b/pgrep", "-c", "kdamond.0"}),
              ElementsAre("/a/b/pgrep", "--lightweight", "-c", "kdamond.0"));
}

TEST(StandInTest, PidofAKdamondIsAskedOfPgrep) {
  EXPECT_THAT(args_of({"/bin/pidof", "kdamond.0"}),
              ElementsAre("pgrep", "--lightweight", "--exact", "--delimiter", " ", "kdamond\\.0"));
}

TEST(StandInTest, OthersStayAsTheyAre) {
  EXPECT_THAT(args_of({"pgrep", "-f", "sh"}), ElementsAre("pgrep", "-f", "sh"));
  EXPECT_THAT(args_of({"pidof", "-s", "sh"}), ElementsAre("pidof", "-s", "sh"));
  EXPECT_THAT(args_of({"pidof"}), ElementsAre("pidof"));
}

}  // namespace
}  // namespace damonfs
