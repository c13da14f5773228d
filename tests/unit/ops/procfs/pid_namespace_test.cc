#include "ops/procfs/pid_namespace.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "core/base/fd.h"
#include "ops/procfs/process.h"
#include "ops/procfs/status.h"
#include "tests/unit/ops/child.h"
#include "tests/unit/ops/temp_tree.h"

namespace damonfs {
namespace {

// A pid namespace below ours with an init and a child of it, number 2 there; all of it ends with
// the object. -1 for the numbers when namespaces are not permitted.
class InnerNamespace {
 public:
  InnerNamespace() {
    int pipe[2];
    if (::pipe2(pipe, O_CLOEXEC) != 0) return;
    const Fd read_end(pipe[0]);
    Fd write_end(pipe[1]);
    const long made = ::syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, nullptr, nullptr, nullptr, 0);
    if (made == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::fork() == 0) {
        const char ready = 1;
        if (::write(write_end.get(), &ready, 1) != 1) ::_exit(1);
      }
      for (;;) ::pause();
    }
    if (made < 0) return;
    init_ = static_cast<pid_t>(made);
    write_end = Fd();
    char ready = 0;
    if (::read(read_end.get(), &ready, 1) != 1) return;
    const auto children = "/proc/" + std::to_string(init_) + "/task/" + std::to_string(init_);
    std::ifstream(children + "/children") >> child_;
  }
  ~InnerNamespace() {
    if (init_ <= 0) return;
    ::kill(init_, SIGKILL);
    ::waitpid(init_, nullptr, 0);
  }
  InnerNamespace(const InnerNamespace&) = delete;
  InnerNamespace& operator=(const InnerNamespace&) = delete;

  [[nodiscard]] pid_t init() const { return init_; }
  [[nodiscard]] pid_t child() const { return child_; }

 private:
  pid_t init_ = -1;
  pid_t child_ = -1;
};

int error_of(pid_t writer, pid_t pid) {
  const auto found = pid_as_named_by(writer, pid, Paths());
  return found ? 0 : found.error().code;
}

TEST(PidNamespaceTest, OurOwnNumbersStay) {
  EXPECT_EQ(pid_as_named_by(::getpid(), 17, Paths()).value(), 17);
  EXPECT_EQ(pid_as_named_by(::getppid(), 17, Paths()).value(), 17);
  EXPECT_TRUE(check_own_procfs(Paths()));
}

TEST(PidNamespaceTest, AWriterThatCannotBeSeenIsRefused) {
  EXPECT_EQ(error_of(0, 1), EINVAL);
  EXPECT_EQ(error_of(INT32_MAX, 1), EINVAL) << "no such process";
}

// A number that none in the inner namespace has, threads of sanitizers included.
constexpr pid_t kNobody = 99;

TEST(PidNamespaceTest, NumbersOfAnInnerNamespace) {
  const InnerNamespace inner;
  if (inner.child() <= 0) GTEST_SKIP() << "making a pid namespace is not permitted here";
  EXPECT_EQ(pid_as_named_by(inner.init(), 1, Paths()).value(), inner.init());
  EXPECT_EQ(pid_as_named_by(inner.init(), 2, Paths()).value(), inner.child());
  EXPECT_EQ(pid_as_named_by(inner.child(), 2, Paths()).value(), inner.child());
  EXPECT_EQ(error_of(inner.init(), kNobody), ESRCH);
  EXPECT_EQ(error_of(inner.init(), inner.child()), ESRCH) << "that is a number of ours";
  const auto process = Process::open_as_named_by(inner.child(), 1, Paths());
  ASSERT_TRUE(process) << process.error().message;
  EXPECT_EQ((*process)->pid(), inner.init());
  EXPECT_FALSE(Process::open_as_named_by(inner.child(), kNobody, Paths()));
}

// What is done on kernels before 6.11.
TEST(PidNamespaceTest, NumbersOfAnInnerNamespaceByStatus) {
  const InnerNamespace inner;
  const InnerNamespace other;  // has the same numbers
  if (inner.child() <= 0) GTEST_SKIP() << "making a pid namespace is not permitted here";
  const Fd space(
      ::open(("/proc/" + std::to_string(inner.init()) + "/ns/pid").c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(find_pid_by_status(space.get(), 1, 1, Paths()).value(), inner.init());
  EXPECT_EQ(find_pid_by_status(space.get(), 1, 2, Paths()).value(), inner.child());
  const auto none = find_pid_by_status(space.get(), 1, kNobody, Paths());
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ESRCH);
}

TEST(PidNamespaceTest, AnotherNamespacesProcfsIsRefused) {
  const TempTree tree;
  EXPECT_EQ(check_own_procfs(tree.paths()).error().code, ENOENT) << "it is not mounted";
  std::filesystem::create_symlink("nowhere", tree.path("proc/self"));
  EXPECT_EQ(check_own_procfs(tree.paths()).error().code, EINVAL) << "we have no number there";
  std::filesystem::remove(tree.path("proc/self"));
  const std::string tgid = "Name:\tx\nTgid:\t" + std::to_string(::getpid());
  tree.write("proc/self/status", tgid + "\nNSpid:\t" + std::to_string(::getpid()) + "\n");
  EXPECT_TRUE(check_own_procfs(tree.paths()));
  tree.write("proc/self/status", tgid + "\nNSpid:\t4711\t" + std::to_string(::getpid()) + "\n");
  const auto outer = check_own_procfs(tree.paths());
  ASSERT_FALSE(outer);
  EXPECT_EQ(outer.error().code, EINVAL);
  tree.write("proc/self/status", "Tgid:\t1\n");
  EXPECT_FALSE(check_own_procfs(tree.paths()));
}

TEST(ProcessStatusTest, Numbers) {
  const auto status = parse_status("Name:\tNSpid: 7\nTgid:\t12\nNSpid:\t12\t3\t1\nTgid:\n");
  ASSERT_TRUE(status);
  EXPECT_EQ(status->tgid, 12);
  EXPECT_EQ(status->nspid, (std::vector<pid_t>{12, 3, 1}));
  EXPECT_FALSE(parse_status(""));
  EXPECT_FALSE(parse_status("Tgid:\tx\nNSpid:\t1\n"));
  EXPECT_TRUE(parse_status("Tgid:\t1")->nspid.empty());
  const auto huge = parse_status("Tgid:\t1\nRssFile:\t8 kB\nRssShmem:\t18446744073709551615 kB\n");
  EXPECT_EQ(huge->shmem, 0u);
  EXPECT_EQ(huge->file, 8u << 10);
}

}  // namespace
}  // namespace damonfs
