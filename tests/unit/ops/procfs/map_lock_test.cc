// What becomes of a process that is stuck with its memory map locked.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <string>
#include <thread>

#include "ops/procfs/known_mappings.h"
#include "ops/rmap/reverse_map_scan.h"
#include "tests/unit/ops/child.h"

namespace damonfs {
namespace {

using namespace std::chrono_literals;

// A tests/stuck.py.
class StuckProcess {
 public:
  StuckProcess() {
    std::array<int, 2> commands{};
    std::array<int, 2> answers{};
    if (::pipe(commands.data()) != 0 || ::pipe(answers.data()) != 0) std::abort();
    server_ = ::fork();
    if (server_ == 0) {
      ::dup2(commands[0], 0);
      ::dup2(answers[1], 1);
      for (const int fd : {commands[0], commands[1], answers[0], answers[1]}) ::close(fd);
      ::execl("/usr/bin/python3", "python3", DAMONFS_SOURCE "/tests/stuck.py", "1048576", nullptr);
      ::_exit(127);
    }
    ::close(commands[0]);
    ::close(answers[1]);
    commands_ = Fd(commands[1]);
    answers_ = Fd(answers[0]);
    const std::string ready = line();
    const auto at = ready.find("pid=");
    if (at != std::string::npos)
      process_ = Process::open(std::stoi(ready.substr(at + 4)), Paths()).value();
  }
  ~StuckProcess() {
    ::kill(server_, SIGKILL);
    ::waitpid(server_, nullptr, 0);
  }
  StuckProcess(const StuckProcess&) = delete;
  StuckProcess& operator=(const StuckProcess&) = delete;

  // Null where there is no FUSE to be had.
  [[nodiscard]] const std::shared_ptr<Process>& process() const { return process_; }
  void tell(const std::string& word) {
    const std::string text = word + "\n";
    if (::write(commands_.get(), text.data(), text.size()) < 0) std::abort();
    line();
  }

 private:
  std::string line() {
    std::string text;
    char next = 0;
    while (::read(answers_.get(), &next, 1) == 1 && next != '\n') text += next;
    return text;
  }

  pid_t server_ = -1;
  Fd commands_;
  Fd answers_;
  std::shared_ptr<Process> process_;
};

class MapLockTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0 || ::access("/dev/fuse", R_OK) != 0) GTEST_SKIP() << "no FUSE here";
    stuck_.emplace();
    ASSERT_NE(process(), nullptr);
    // Before Linux 6.16 FUSE writes back without making anybody wait.
    stuck_->tell("stick");
    const bool held = map_is_held();
    stuck_->tell("letgo");
    if (!held) GTEST_SKIP() << "tests/stuck.py cannot hold the lock of a memory map on this kernel";
    ASSERT_TRUE(becomes_free());
  }
  [[nodiscard]] const std::shared_ptr<Process>& process() const { return stuck_->process(); }

  // Whether a reader of the stuck process's memory waits: seen without what is tested.
  [[nodiscard]] bool map_is_held() const {
    const pid_t reader = ::fork();
    if (reader == 0) {
      const auto sums = process()->read_file("smaps_rollup");
      ::_exit(sums ? 0 : 1);
    }
    bool held = true;
    for (int i = 0; i < 200 && held; ++i) {
      held = ::waitpid(reader, nullptr, WNOHANG) == 0;
      if (held) std::this_thread::sleep_for(5ms);
    }
    if (held) {
      ::kill(reader, SIGKILL);
      ::waitpid(reader, nullptr, 0);
    }
    return held;
  }
  // A thread that has no processor for a while is no stuck one.
  [[nodiscard]] bool becomes_free() const {
    for (int i = 0; i < 2000; ++i) {
      if (process()->map_is_free()) return true;
      std::this_thread::sleep_for(5ms);
    }
    return false;
  }

  std::optional<StuckProcess> stuck_;
};

TEST_F(MapLockTest, IsFreeUntilSomebodyHoldsIt) {
  EXPECT_TRUE(becomes_free());
  stuck_->tell("stick");
  EXPECT_FALSE(process()->map_is_free());
  EXPECT_FALSE(process()->map_is_free());
  stuck_->tell("letgo");
  EXPECT_TRUE(becomes_free());
}

TEST_F(MapLockTest, AProcessThatHasEndedHoldsNothing) {
  Child child;
  const auto process = Process::open(child.pid(), Paths()).value();
  child.kill();
  EXPECT_TRUE(process->map_is_free());
  child.reap();
  EXPECT_TRUE(process->map_is_free());
}

TEST_F(MapLockTest, MappingsAreThoseOfBefore) {
  KnownMappings mappings;
  const auto before = mappings.of(process());
  ASSERT_TRUE(before) << before.error().message;
  ASSERT_FALSE((*before)->all.empty());
  EXPECT_FALSE((*before)->files.empty());
  stuck_->tell("stick");
  for (int i = 0; i < 3; ++i) {
    const auto meanwhile = mappings.of(process());
    ASSERT_TRUE(meanwhile);
    EXPECT_EQ((*before)->all, (*meanwhile)->all);
  }
  KnownMappings others;
  const auto never = others.of(process());
  ASSERT_FALSE(never);
  EXPECT_EQ(EBUSY, never.error().code);
  stuck_->tell("letgo");
  for (int i = 0; i < 2000 && !others.of(process()); ++i) std::this_thread::sleep_for(5ms);
  const auto after = others.of(process());
  ASSERT_TRUE(after);
  EXPECT_FALSE((*after)->all.empty());
}

// The others are in the reverse map, and it is told who is not.
TEST_F(MapLockTest, AScanPassesItBy) {
  Child child;
  ProcfsRmapSource tables(Paths(), ProtectedList(), {process()->pid(), child.pid()});
  // On a busy machine one whose map is free may be passed by as well, now and then.
  const auto scan = [&](uint64_t nr_failed) {
    auto scanned = scan_page_tables(tables, 1 << 20, [] { return true; });
    for (int i = 0; i < 200 && scanned && scanned->nr_failed != nr_failed; ++i) {
      scanned = scan_page_tables(tables, 1 << 20, [] { return true; });
    }
    return scanned;
  };
  stuck_->tell("stick");
  const auto scanned = scan(1);
  ASSERT_TRUE(scanned);
  EXPECT_EQ(1U, scanned->nr_failed);
  EXPECT_EQ(EBUSY, scanned->failure.code);
  ASSERT_EQ(1U, scanned->map.processes().size());
  EXPECT_EQ(child.pid(), scanned->map.processes()[0].process->pid());
  stuck_->tell("letgo");
  ASSERT_TRUE(becomes_free());
  const auto again = scan(0);
  ASSERT_TRUE(again);
  EXPECT_EQ(2U, again->map.processes().size());
}

}  // namespace
}  // namespace damonfs
