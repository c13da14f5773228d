#include "ops/rmap/protection.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>

#include "tests/unit/ops/child.h"
#include "tests/unit/ops/temp_tree.h"

namespace damonfs {
namespace {

// A process with files of its own.
class ProtectionTest : public testing::Test {
 protected:
  ProtectionTest() {
    tree_.write(TempTree::of_process(child_.pid(), "comm"), "keeper of keys\n");
    tree_.write(TempTree::of_process(child_.pid(), "cgroup"),
                "4:memory:/legacy\n0::/system.slice/keys.service\n");
    process_ = Process::open(child_.pid(), tree_.paths()).value();
  }
  bool covers(const std::string& words) const {
    ProtectedList list;
    EXPECT_TRUE(list.add(words)) << words;
    return list.covers(*process_);
  }

  const Child child_;
  const TempTree tree_;
  std::shared_ptr<Process> process_;
};

TEST_F(ProtectionTest, ByNameCgroupAndPid) {
  EXPECT_TRUE(covers("comm=keeper of keys"));
  EXPECT_FALSE(covers("comm=keeper"));
  EXPECT_TRUE(covers("cgroup=/system.slice/keys.service"));
  EXPECT_TRUE(covers("cgroup=/system.slice"));
  EXPECT_TRUE(covers("cgroup=/legacy"));
  EXPECT_TRUE(covers("cgroup=/"));
  EXPECT_FALSE(covers("cgroup=/system"));
  EXPECT_FALSE(covers("cgroup=/system.slice/keys"));
  EXPECT_TRUE(covers("pid=" + std::to_string(child_.pid())));
  EXPECT_FALSE(covers("pid=1"));
}

// The kernel keeps fifteen characters of a name.
TEST_F(ProtectionTest, LongNamesAreCutAsTheKernelDoes) {
  tree_.write(TempTree::of_process(child_.pid(), "comm"), "123456789012345\n");
  EXPECT_TRUE(covers("comm=123456789012345678"));
}

TEST_F(ProtectionTest, WhoCannotBeKnownIsSparedWhileThere) {
  std::filesystem::remove(tree_.path(TempTree::of_process(child_.pid(), "comm")));
  EXPECT_TRUE(covers("comm=other"));
  EXPECT_FALSE(covers("pid=1"));
}

TEST_F(ProtectionTest, ThisProcessIsAlwaysOnIt) {
  const auto self = Process::open(::getpid(), Paths()).value();
  EXPECT_TRUE(ProtectedList::own().covers(*self));
  EXPECT_FALSE(ProtectedList().covers(*self));
  EXPECT_EQ(ProtectedList::own().describe(), "");
}

TEST_F(ProtectionTest, ProcessesWithDevices) {
  EXPECT_FALSE(covers("pid=1"));
  tree_.make_folder(TempTree::of_process(child_.pid(), "fd"));
  std::filesystem::create_symlink("anon_inode:kvm-vm",
                                  tree_.path(TempTree::of_process(child_.pid(), "fd/3")));
  EXPECT_TRUE(covers("pid=1"));
  ProtectedList list;
  list.devices = false;
  EXPECT_FALSE(list.covers(*process_));
}

// Whoever gets the number later is another one.
TEST_F(ProtectionTest, AHeldProcessIsNotItsNumber) {
  ProtectedList list;
  ASSERT_TRUE(list.add("pid=" + std::to_string(child_.pid())));
  ASSERT_TRUE(list.hold(Paths()));
  EXPECT_TRUE(list.covers(*Process::open(child_.pid(), Paths()).value()));
  EXPECT_FALSE(list.covers(*process_)) << "the same number in another procfs";
}

TEST_F(ProtectionTest, NobodysNumberIsRefused) {
  ProtectedList list;
  ASSERT_TRUE(list.add("pid=" + std::to_string(INT32_MAX)));
  const auto held = list.hold(Paths());
  ASSERT_FALSE(held);
  EXPECT_EQ(held.error().code, ESRCH);
  EXPECT_NE(held.error().message.find("pid=2147483647"), std::string::npos);
}

TEST_F(ProtectionTest, OtherWordsAreRefused) {
  ProtectedList list;
  for (const char* words : {"", "comm", "comm=", "cgroup=system.slice", "cgroup=/a/",
                            "cgroup=", "pid=", "pid=0", "pid=-1", "pid=1x", "name=x", "=x"}) {
    const auto added = list.add(words);
    ASSERT_FALSE(added) << words;
    EXPECT_EQ(added.error().code, EINVAL) << words;
  }
  EXPECT_TRUE(list.add("comm=a=b"));
  EXPECT_TRUE(list.add("cgroup=/c"));
  EXPECT_TRUE(list.add("pid=3"));
  EXPECT_EQ(list.describe(), "comm=a=b, cgroup=/c, pid=3");
}

}  // namespace
}  // namespace damonfs
