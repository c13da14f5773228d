#include "fs/exec/ps.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace damonfs {
namespace {

using testing::ElementsAre;
using testing::StartsWith;

std::optional<PsRequest> parsed(std::vector<std::string> words) {
  words.insert(words.begin(), "ps");
  return parse_ps(words);
}

TEST(PsTest, NumbersInEveryStyle) {
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"-p", "12,13"},
                                             {"-p12 13"},
                                             {"--pid", "12,13"},
                                             {"--pid=12,13"},
                                             {"-q", "12,13"},
                                             {"12", "13"},
                                             {"p", "12", "p13"},
                                             {"-p", "12", "-p", "13"}}) {
    const auto request = parsed(words);
    ASSERT_TRUE(request) << words[0];
    EXPECT_THAT(request->pids, ElementsAre(12, 13)) << words[0];
    EXPECT_FALSE(request->all);
  }
}

TEST(PsTest, Formats) {
  EXPECT_EQ(parsed({"-p", "1", "-o", "pid,comm", "-o%cpu"})->format, "pid,comm,%cpu");
  EXPECT_EQ(parsed({"--format=pid=", "1"})->format, "pid=");
  EXPECT_EQ(parsed({"-p", "1"})->format, "pid,tty,time,comm=CMD");
  EXPECT_THAT(parsed({"-fp", "1"})->format, StartsWith("user=UID,pid,ppid"));
  EXPECT_THAT(parsed({"u", "1"})->format, StartsWith("user,pid,%cpu"));
  EXPECT_TRUE(parsed({"-p", "1"})->header);
  EXPECT_FALSE(parsed({"--no-headers", "-p", "1"})->header);
}

TEST(PsTest, AllAndNames) {
  EXPECT_TRUE(parsed({"-e"})->all);
  EXPECT_TRUE(parsed({"-ef"})->all);
  EXPECT_TRUE(parsed({"aux"})->all);
  EXPECT_TRUE(parsed({"a", "x"})->all);
  EXPECT_THAT(parsed({"-C", "kdamond.0"})->names, ElementsAre("kdamond.0"));
}

TEST(PsTest, WhatIsNotUnderstoodIsTheMachinesBusiness) {
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{},
                                             {"a"},
                                             {"-T"},
                                             {"-u", "root"},
                                             {"--ppid", "1", "-o", "pid="},
                                             {"-p"},
                                             {"-p", "x"},
                                             {"-e", "--sort", "pid"},
                                             {"--version"}}) {
    EXPECT_FALSE(parsed(words)) << testing::PrintToString(words);
  }
}

TEST(PsTest, ColumnsOfThreads) {
  EXPECT_EQ(format_for_threads("pid,comm,%cpu"), "lwp=PID,comm,%cpu");
  EXPECT_EQ(format_for_threads("pid=,args=THE COMMAND"), "lwp=,comm=THE COMMAND");
  EXPECT_EQ(format_for_threads("%cpu pid cmd"), "%cpu,lwp=PID,comm=CMD");
  EXPECT_EQ(format_for_threads("comm=CMD,pid=X,stat"), "comm=CMD,lwp=X,stat");
  EXPECT_EQ(format_for_threads(""), "");
}

TEST(PsTest, OnlyTheThreadsThatAreWanted) {
  const std::string aligned =
      "         PID COMMAND\n   100   100 sh\n 12345 12345 kdamond.0\n    99    99 a\n";
  const std::vector<pid_t> wanted = {12345};
  EXPECT_EQ(pick_threads(aligned, wanted, true), "  PID COMMAND\n12345 kdamond.0\n");
  EXPECT_EQ(pick_threads(aligned, wanted, false), "12345 kdamond.0\n");
  EXPECT_EQ(pick_threads("  7 0.1\n 12 5.0\n", std::vector<pid_t>{7}, true), "0.1\n");
  EXPECT_EQ(pick_threads("", wanted, true), "");
}

}  // namespace
}  // namespace damonfs
