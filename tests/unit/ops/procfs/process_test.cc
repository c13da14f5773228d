#include "ops/procfs/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <latch>
#include <thread>

#include "ops/procfs/maps.h"
#include "tests/unit/ops/child.h"
#include "tests/unit/ops/temp_tree.h"

namespace damonfs {
namespace {

int error_of_open(pid_t pid, const Paths& paths) {
  const auto process = Process::open(pid, paths);
  return process ? 0 : process.error().code;
}

// A child with the number `pid`, which is free; -1 when the kernel does not allow that.
pid_t fork_as(pid_t pid) {
  clone_args arguments{};
  arguments.exit_signal = SIGCHLD;
  arguments.set_tid = reinterpret_cast<uint64_t>(&pid);
  arguments.set_tid_size = 1;
  const long child = ::syscall(SYS_clone3, &arguments, sizeof(arguments));
  if (child == 0) {
    for (;;) ::pause();
  }
  return static_cast<pid_t>(child);
}

TEST(ProcessTest, HoldsAProcess) {
  const auto process = Process::open(::getpid(), Paths());
  ASSERT_TRUE(process) << process.error().message;
  EXPECT_EQ(::getpid(), (*process)->pid());
  EXPECT_TRUE((*process)->exists());
  EXPECT_GE((*process)->pidfd(), 0);
  EXPECT_TRUE((*process)->open_file("maps", O_RDONLY));
}

TEST(ProcessTest, RefusesWhatIsNoProcess) {
  EXPECT_EQ(EINVAL, error_of_open(0, Paths()));
  EXPECT_EQ(EINVAL, error_of_open(-1, Paths()));
  EXPECT_EQ(EINVAL, error_of_open(INT32_MIN, Paths()));
  EXPECT_EQ(ESRCH, error_of_open(INT32_MAX, Paths()));
}

TEST(ProcessTest, RefusesAProcessThatIsGone) {
  Child child;
  child.kill();
  child.reap();
  EXPECT_EQ(ESRCH, error_of_open(child.pid(), Paths()));
}

TEST(ProcessTest, ZombieExistsUntilReaped) {
  Child child;
  const auto process = Process::open(child.pid(), Paths());
  ASSERT_TRUE(process);
  child.kill();
  EXPECT_TRUE((*process)->exists());
  const auto mappings = read_maps(**process);
  ASSERT_TRUE(mappings) << mappings.error().message;
  EXPECT_TRUE(mappings->empty());
  EXPECT_EQ(0, error_of_open(child.pid(), Paths()));
  child.reap();
  EXPECT_FALSE((*process)->exists());
  const auto file = (*process)->open_file("maps", O_RDONLY);
  ASSERT_FALSE(file);
  EXPECT_EQ(ESRCH, file.error().code);
}

TEST(ProcessTest, IsNotTheNextProcessOfThatNumber) {
  Child first;
  const auto held = Process::open(first.pid(), Paths());
  ASSERT_TRUE(held);
  first.kill();
  first.reap();
  const pid_t pid = fork_as(first.pid());
  if (pid < 0) GTEST_SKIP() << "choosing a pid (clone3, set_tid) is not permitted here";
  const Child second(pid);
  EXPECT_FALSE((*held)->exists());
  const auto file = (*held)->open_file("maps", O_RDONLY);
  ASSERT_FALSE(file);
  EXPECT_EQ(ESRCH, file.error().code);
  const auto other = Process::open(pid, Paths());
  ASSERT_TRUE(other);
  EXPECT_FALSE((*held)->same_as(**other));
  EXPECT_FALSE((*other)->same_as(**held));
}

// The kernel takes any thread for its address space.
TEST(ProcessTest, AThreadsIdStandsForItsProcess) {
  std::latch started(1);
  std::latch done(1);
  pid_t tid = 0;
  std::thread thread([&] {
    tid = ::gettid();
    started.count_down();
    done.wait();
  });
  started.wait();
  const auto process = Process::open(tid, Paths());
  const auto whole = Process::open(::getpid(), Paths());
  EXPECT_TRUE(process) << process.error().message;
  if (process) {
    EXPECT_EQ(::getpid(), (*process)->pid());
    EXPECT_TRUE((*process)->same_as(**whole));
    // Calls that act on memory know processes only.
    EXPECT_EQ(0, ::syscall(SYS_process_madvise, (*process)->pidfd(), nullptr, 0, MADV_COLD, 0));
  }
  done.count_down();
  thread.join();
  if (process) {
    EXPECT_TRUE((*process)->exists()) << "the thread has ended, not the process";
  }
}

TEST(ProcessTest, IdentityTellsItFromOthers) {
  const auto self = Process::open(::getpid(), Paths());
  // Not a child: it may start within the same clock tick.
  const auto other = Process::open(1, Paths());
  ASSERT_TRUE(self && other);
  const std::string identity = (*self)->identity();
  EXPECT_EQ(identity, (*Process::open(::getpid(), Paths()))->identity());
  EXPECT_NE(identity, (*other)->identity()) << "it started before";
  std::string boot;
  std::getline(std::ifstream("/proc/sys/kernel/random/boot_id"), boot);
  EXPECT_EQ(identity.substr(0, boot.size() + 1), boot + ' ');
}

TEST(ProcessTest, IdentityOfANameWithBrackets) {
  const TempTree tree;
  tree.write("proc/sys/kernel/random/boot_id", "b\n");
  std::string stat = "1 (a) b) S";
  for (int field = 4; field <= 30; ++field) stat += ' ' + std::to_string(field);
  tree.write(TempTree::of_process(::getpid(), "stat"), stat);
  EXPECT_EQ((*Process::open(::getpid(), tree.paths()))->identity(), "b 22");
  tree.write(TempTree::of_process(::getpid(), "stat"), "1 (a) b) S 4");
  EXPECT_EQ((*Process::open(::getpid(), tree.paths()))->identity(), "");
}

TEST(ProcessTest, WhoseMappingsAreRefusedIsNotReadable) {
  const TempTree tree;
  tree.make_folder(TempTree::of_process(::getpid(), "maps/below"));  // opens, for reading
  EXPECT_TRUE((*Process::open(::getpid(), tree.paths()))->check_readable());
  const TempTree without;
  without.make_folder("proc/" + std::to_string(::getpid()));
  const auto refused = (*Process::open(::getpid(), without.paths()))->check_readable();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ENOENT);
}

TEST(ProcessTest, HoldsAKernelThread) {
  std::string name;
  std::getline(std::ifstream("/proc/2/comm"), name);
  if (name != "kthreadd") GTEST_SKIP() << "no kernel threads to be seen here";
  const auto process = Process::open(2, Paths());
  ASSERT_TRUE(process) << process.error().message;
  EXPECT_TRUE((*process)->exists());
  const auto mappings = read_maps(**process);
  ASSERT_TRUE(mappings) << mappings.error().message;
  EXPECT_TRUE(mappings->empty());
}

TEST(ProcessTest, SameProcessOpenedTwice) {
  const auto first = Process::open(::getpid(), Paths());
  const auto second = Process::open(::getpid(), Paths());
  const Child child;
  const auto third = Process::open(child.pid(), Paths());
  ASSERT_TRUE(first && second && third);
  EXPECT_TRUE((*first)->same_as(**second));
  EXPECT_TRUE((*first)->same_as(**first));
  EXPECT_FALSE((*first)->same_as(**third));
  struct OtherHandle : TargetHandle {
    [[nodiscard]] bool same_as(const TargetHandle& /*other*/) const override { return true; }
  };
  EXPECT_FALSE((*first)->same_as(OtherHandle()));
}

TEST(ProcessTest, TakesFilesFromTheProcfsItIsGiven) {
  const TempTree tree;
  const pid_t pid = ::getpid();
  EXPECT_EQ(ESRCH, error_of_open(pid, tree.paths())) << "no such folder";
  tree.write(TempTree::of_process(pid, "maps"), "1000-3000 r-xp 00000000 00:00 0\n");
  const auto process = Process::open(pid, tree.paths());
  ASSERT_TRUE(process) << process.error().message;
  const auto mappings = read_maps(**process);
  ASSERT_TRUE(mappings);
  EXPECT_EQ((std::vector<AddrRange>{{0x1000, 0x3000}}), *mappings);
  const auto missing = (*process)->open_file("pagemap", O_RDONLY);
  ASSERT_FALSE(missing);
  EXPECT_EQ(ENOENT, missing.error().code);
}

TEST(ProcessTest, ReportsAFolderThatCannotBeOpened) {
  const TempTree tree;
  tree.write("proc/" + std::to_string(::getpid()), "a file");
  EXPECT_EQ(ENOTDIR, error_of_open(::getpid(), tree.paths()));
}

}  // namespace
}  // namespace damonfs
