// Every allocation of an operation on the tree fails once: nothing ends, and the tree stays whole.
#include <gmock/gmock.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "tests/unit/fs/damon/state_commands_fixture.h"

namespace {

thread_local bool spared = false;       // of others_fail
std::atomic<bool> others_fail = false;  // every allocation of threads that are not spared
thread_local long fails_after = -1;     // allocations of this thread; below 0: never
thread_local bool failed_once = false;

bool fails_now() {
  if (others_fail && !spared) return true;
  if (fails_after < 0 || fails_after-- != 0) return false;
  failed_once = true;
  return true;
}

}  // namespace

void* operator new(size_t size) {
  void* memory = fails_now() ? nullptr : std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  return fails_now() ? nullptr : std::malloc(size == 0 ? 1 : size);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace damonfs::test {

namespace {

class OutOfMemoryTest : public StateTest {
 protected:
  // Writes `text` to `path` again and again, with the first, second, ... allocation failing, until
  // none does; looks at the tree after each.
  void write_with_failures(const std::string& path, const std::string& text) {
    const FakeTree::File file = tree_.open(path);
    bool failed = true;
    for (long n = 0; failed; ++n) {
      ASSERT_LT(n, 100000);
      failed_once = false;
      fails_after = n;
      const auto written = tree_.tree().write(*file.directory, file.index, text, {});
      fails_after = -1;
      failed = failed_once;
      if (!written) {
        EXPECT_EQ(written.error().code, ENOMEM) << path << ", allocation " << n;
      }
      EXPECT_TRUE(written || failed);
      look();
    }
    EXPECT_EQ(tree_.write(path, text), 0);
  }

  // Counts and directories must agree.
  void look() {
    const auto directories = tree_.directories();
    const auto count = [&](const std::string& in) {
      size_t number = 0;
      while (directories.contains(in + std::to_string(number) + "/")) ++number;
      return std::to_string(number) + "\n";
    };
    EXPECT_EQ(tree_.read("kdamonds/nr_kdamonds"), count("kdamonds/"));
    if (!directories.contains(kContext)) return;
    EXPECT_EQ(tree_.read(kContext + "schemes/nr_schemes"), count(kContext + "schemes/"));
    EXPECT_EQ(tree_.read(kContext + "targets/nr_targets"), count(kContext + "targets/"));
  }
};

TEST_F(OutOfMemoryTest, CountsAreWholeOrNothing) {
  write_with_failures(kContext + "schemes/nr_schemes", "3");
  write_with_failures(kContext + "targets/nr_targets", "3");
  write_with_failures("kdamonds/nr_kdamonds", "2");
}

TEST_F(OutOfMemoryTest, AKdamondIsSwitchedOnOrNot) {
  const FakeTree::File file = tree_.open(kState);
  bool failed = true;
  for (long n = 0; failed; ++n) {
    ASSERT_LT(n, 100000);
    failed_once = false;
    fails_after = n;
    const auto written = tree_.tree().write(*file.directory, file.index, "on", {});
    fails_after = -1;
    failed = failed_once;
    EXPECT_EQ(tree_.read(kState), written ? "on\n" : "off\n");
    if (!written) {
      EXPECT_EQ(written.error().code, ENOMEM) << "allocation " << n;
    } else {
      EXPECT_EQ(command("off"), 0);
    }
    EXPECT_TRUE(eventually([&] { return tree_.script.nr_alive == 0; })) << "allocation " << n;
  }
}

TEST_F(OutOfMemoryTest, CommandsGoWrongAndLeaveTheKdamondAlone) {
  turn_on();
  for (const auto* word : {"commit", "update_schemes_stats", "update_schemes_tried_regions",
                           "update_schemes_tried_bytes", "clear_schemes_tried_regions"}) {
    write_with_failures(kState, word);
    EXPECT_EQ(tree_.read(kState), "on\n") << word;
  }
  EXPECT_EQ(command("off"), 0);
}

TEST_F(OutOfMemoryTest, AKdamondThatRunsOutOfItEndsByItself) {
  spared = true;
  turn_on();
  others_fail = true;
  // Its part of the answer takes memory.
  const int error = command("update_schemes_tried_regions");
  const bool ended = eventually([&] { return tree_.read(kState) == "off\n"; });
  others_fail = false;
  spared = false;
  EXPECT_TRUE(error == ENOMEM || error == ECANCELED) << error;
  EXPECT_TRUE(ended || command("off") == 0);
  turn_on();
  EXPECT_EQ(command("off"), 0);
}

}  // namespace

}  // namespace damonfs::test
