#include "ops/pte/page_walker.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include "tests/unit/ops/required.h"

namespace damonfs {
namespace {

// The BPF programs that this process holds, by the kernel's numbers of them.
std::set<std::string> held_programs() {
  std::set<std::string> programs;
  for (const auto& fd : std::filesystem::directory_iterator("/proc/self/fdinfo")) {
    std::ifstream info(fd.path());
    for (std::string line; std::getline(info, line);) {
      if (line.starts_with("prog_id:")) programs.insert(line);
    }
  }
  return programs;
}

TEST(PageWalkerTest, TheProgramOfOneThatWentIsUsedAgain) {
  auto first = PageWalker::load({});
  if (!first) SKIP_WITHOUT("pte", first.error());
  const auto programs = held_programs();
  EXPECT_FALSE(programs.empty());
  first->reset();
  auto second = PageWalker::load({});
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_EQ(held_programs(), programs);
}

TEST(PageWalkerTest, OfManyThatWentTheProgramOfOneIsKept) {
  auto first = PageWalker::load({});
  if (!first) SKIP_WITHOUT("pte", first.error());
  const auto programs = held_programs();
  {
    auto second = PageWalker::load({});
    auto third = PageWalker::load({});
    ASSERT_TRUE(second && third);
    EXPECT_EQ(held_programs().size(), 3 * programs.size());
    EXPECT_TRUE((*second)->walk(0, false));
  }
  EXPECT_EQ(held_programs().size(), 2 * programs.size());
}

}  // namespace
}  // namespace damonfs
