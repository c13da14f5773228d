#include "ops/pte/address_space.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <string>

#include "tests/unit/ops/temp_tree.h"

namespace damonfs {
namespace {

constexpr uint64_t kMaxPages = 2'000'000 / 70;

// A process that says of itself how much memory it has.
class AddressSpaceTest : public testing::Test {
 protected:
  AddressSpaceTest() { resident(0, 0); }
  void resident(uint64_t anon_mib, uint64_t file_mib, uint64_t shmem_mib = 0,
                uint64_t swap_mib = 0) {
    const auto line = [](const char* key, uint64_t mib) {
      return std::string(key) + ":\t" + std::to_string(mib << 10) + " kB\n";
    };
    tree_.write(TempTree::of_process(::getpid(), "status"),
                "Tgid:\t1\n" + line("RssAnon", anon_mib) + line("RssFile", file_mib) +
                    line("RssShmem", shmem_mib) + line("VmSwap", swap_mib));
  }
  // What was written to clear_refs since the last call.
  std::string cleared() {
    const std::string name = TempTree::of_process(::getpid(), "clear_refs");
    std::ifstream file(tree_.path(name));
    std::string text{std::istreambuf_iterator<char>(file), {}};
    tree_.write(name, "");
    return text;
  }
  ClearPlan plan() { return space_.plan(now_ += std::chrono::seconds(1), kMaxPages); }

  const TempTree tree_;
  std::shared_ptr<Process> process_ = [this] {
    tree_.write(TempTree::of_process(::getpid(), "clear_refs"), "");
    return Process::open(::getpid(), tree_.paths()).value();
  }();
  AddressSpace space_{*process_};
  AddressSpace::Clock::time_point now_{std::chrono::hours(1)};
};

TEST_F(AddressSpaceTest, OnlyKindsOfFewPagesAreInThePlan) {
  resident(100, 100);
  EXPECT_EQ(plan(), (ClearPlan{.anon = true, .file = true}));
  resident(120, 10);
  EXPECT_EQ(plan(), (ClearPlan{.anon = false, .file = true})) << "30,720 pages";
  resident(10, 60, 60);
  EXPECT_EQ(plan(), (ClearPlan{.anon = true, .file = false}));
  resident(60, 0, 0, 60);
  EXPECT_EQ(plan(), (ClearPlan{.anon = false, .file = true})) << "entries of swapped pages, too";
  resident(4096, 4096);
  EXPECT_FALSE(plan().any());
  std::filesystem::remove(tree_.path(TempTree::of_process(::getpid(), "status")));
  EXPECT_FALSE(plan().any()) << "what is not known is not done";
}

TEST_F(AddressSpaceTest, IsAskedForOnceASecond) {
  resident(1, 1);
  ASSERT_TRUE(plan().all());
  resident(4096, 4096);
  EXPECT_TRUE(space_.plan(now_ + std::chrono::milliseconds(900), kMaxPages).all());
  EXPECT_FALSE(
      space_.plan(now_ + std::chrono::milliseconds(900), kMaxPages, std::chrono::milliseconds(20))
          .any())
      << "it has grown";
  EXPECT_FALSE(plan().any());
}

TEST_F(AddressSpaceTest, ClearsTheKindsOfThePlan) {
  resident(4096, 1);
  const ClearPlan of_files = plan();  // moves now_ on
  EXPECT_EQ(space_.clear(ClearKind::file).value(), 256U);
  EXPECT_EQ(cleared(), "3");
  space_.note_cleared(now_, of_files);
  EXPECT_EQ(space_.cleared_at(), now_);
  resident(1, 4096);
  plan();
  EXPECT_EQ(space_.cleared_at(), AddressSpace::Clock::time_point())
      << "a bit of the other kind may have been set before";
  EXPECT_EQ(space_.clear(ClearKind::anon).value(), 256U);
  EXPECT_EQ(cleared(), "2");
}

TEST_F(AddressSpaceTest, OneKindOfTwoSaysNothingOfTheOther) {
  resident(1, 1);
  ASSERT_TRUE(plan().all());
  space_.note_cleared(now_, {.anon = false, .file = true});
  EXPECT_EQ(space_.cleared_at(), AddressSpace::Clock::time_point());
}

}  // namespace
}  // namespace damonfs
