#include "fs/exec/process_finders.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <vector>

namespace damonfs {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

KdamondSearch search_of(std::vector<std::string> words) {
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  return parse_kdamond_search(arguments);
}

TEST(ProcessFindersTest, PgrepOfKdamondsLooksAtThreads) {
  EXPECT_THAT(search_of({"pgrep", "kdamond"}).words,
              ElementsAre("pgrep", "--lightweight", "kdamond"));
  EXPECT_THAT(search_of({"/a/b/pgrep", "-x", "-u", "root", "kdamond.0"}).words,
              ElementsAre("pgrep", "--lightweight", "-x", "-u", "root", "kdamond.0"));
}

TEST(ProcessFindersTest, WhatShapesTheOutputIsDoneAfterwards) {
  const KdamondSearch search =
      search_of({"pgrep", "-lc", "--delimiter=;", "kdamond", "--oldest", "-f"});
  EXPECT_THAT(search.words, ElementsAre("pgrep", "--lightweight", "kdamond", "-f"));
  EXPECT_TRUE(search.output.names);
  EXPECT_TRUE(search.output.count);
  EXPECT_TRUE(search.output.oldest);
  EXPECT_FALSE(search.output.newest);
  EXPECT_EQ(search.output.delimiter, ";");
}

TEST(ProcessFindersTest, PidofAKdamondIsAskedOfPgrep) {
  const KdamondSearch search = search_of({"/bin/pidof", "kdamond.0"});
  EXPECT_THAT(search.words, ElementsAre("pgrep", "--lightweight", "-x", "kdamond\\.0"));
  EXPECT_EQ(search.output.delimiter, " ");
}

TEST(ProcessFindersTest, OthersStayAsTheyAre) {
  EXPECT_THAT(search_of({"pgrep", "-f", "sh"}).words, IsEmpty());
  EXPECT_THAT(search_of({"pgrep", "--what", "kdamond"}).words, IsEmpty());
  EXPECT_THAT(search_of({"pidof", "-s", "kdamond.0"}).words, IsEmpty());
  EXPECT_THAT(search_of({"pidof"}).words, IsEmpty());
  EXPECT_THAT(search_of({"ps", "kdamond"}).words, IsEmpty());
}

TEST(ProcessFindersTest, KdamondsOfOthersAreLeftOut) {
  pid_t tid = 0;
  std::thread([&] {
    pthread_setname_np(pthread_self(), "kdamond.7");
    tid = ::gettid();
    const std::string found = std::to_string(tid) + "\n" + std::to_string(::getpid()) + "\n";
    EXPECT_THAT(without_foreign_kdamonds(found, {}), ElementsAre(::getpid()));
    const std::vector<TreeKdamond> ours = {{tid, ::getpid(), "kdamond.7"}};
    EXPECT_THAT(without_foreign_kdamonds(found, ours), ElementsAre(tid, ::getpid()));
  }).join();
}

}  // namespace
}  // namespace damonfs
