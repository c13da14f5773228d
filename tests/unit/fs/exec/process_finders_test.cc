#include "fs/exec/process_finders.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

namespace damonfs {
namespace {

namespace files = std::filesystem;
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

// Folders with a program `tool` each.
class RealProgramTest : public testing::Test {
 protected:
  RealProgramTest() {
    std::string name = files::temp_directory_path() / "damonfs-test.XXXXXX";
    root_ = ::mkdtemp(name.data());
    for (const char* folder : {"wrapper", "own", "real", "system"}) {
      files::create_directory(root_ / folder);
      const files::path program = root_ / folder / "tool";
      std::ofstream(program) << "#!/bin/sh\n";
      ::chmod(program.c_str(), 0755);
    }
  }
  ~RealProgramTest() override { files::remove_all(root_); }
  // The folder in which it is found, by a path of folders.
  std::string found(std::vector<std::string> folders) {
    std::string path;
    for (const std::string& folder : folders) {
      path += (path.empty() ? "" : ":") + (root_ / folder).native();
    }
    const auto program = find_behind("tool", path, (root_ / "own").native(), root_ / "system");
    return files::path(program).parent_path().filename();
  }
  files::path root_;
};

TEST_F(RealProgramTest, IsBehindTheStandIn) {
  EXPECT_EQ(found({"own", "real"}), "real");
  EXPECT_EQ(found({"wrapper", "own", "real"}), "real") << "a wrapper would call the stand-in again";
  EXPECT_EQ(found({"wrapper", "own", "own", "none", "real"}), "real");
  EXPECT_EQ(found({"wrapper", "own"}), "");
}

TEST_F(RealProgramTest, IsTheSystemsWhereTheStandInIsNotInThePath) {
  EXPECT_EQ(found({"wrapper", "real"}), "system");
  EXPECT_EQ(found({}), "system");
}

}  // namespace
}  // namespace damonfs
