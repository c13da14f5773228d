#include "services/member_finder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/ops/temp_tree.h"

namespace damonfs {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// A machine of folders, with processes that are written down.
class MemberFinderTest : public testing::Test {
 protected:
  struct Process {
    pid_t pid;
    pid_t parent = 1;
    uint64_t start = 0;
    std::string comm = "server";
    pid_t session = 0;
    char state = 'S';
    unsigned flags = 0;
  };
  void run(const Process& process) {
    const std::string directory = "proc/" + std::to_string(process.pid) + "/";
    tree_.write(directory + "comm", process.comm + "\n");
    tree_.write(directory + "stat",
                fmt::format("{} ({}) {} {} {} {} 0 -1 {} 0 0 0 0 0 0 0 0 20 0 1 0 {} 1 2 3\n",
                            process.pid, process.comm, process.state, process.parent,
                            process.session, process.session, process.flags, process.start));
  }
  void end(pid_t pid) { std::filesystem::remove_all(tree_.path("proc/" + std::to_string(pid))); }
  void put(const std::string& cgroup, const std::string& pids) {
    tree_.write("cgroup" + cgroup + "/cgroup.procs", pids);
  }
  void use_version_2() { tree_.write("cgroup/cgroup.controllers", "memory\n"), put("", ""); }
  MemberFinder finder(std::string_view words) {
    return MemberFinder(parse_selector(words).value(), tree_.paths());
  }
  static std::vector<pid_t> pids_of(const Members& members) {
    std::vector<pid_t> pids;
    for (const Member& member : members.processes) pids.push_back(member.pid);
    return pids;
  }

  TempTree tree_;
};

TEST_F(MemberFinderTest, ReadsStatOfAnyName) {
  const std::string name = "a) S 1 (b\\n\n";
  run({.pid = 7, .parent = 3, .start = 99, .comm = name, .session = 5});
  const auto stat = read_process_stat(tree_.paths(), 7);
  ASSERT_TRUE(stat);
  EXPECT_EQ(name, stat->comm);
  EXPECT_EQ(3, stat->parent);
  EXPECT_EQ(5, stat->session);
  EXPECT_EQ(99, stat->start);
  EXPECT_EQ(name, read_comm(tree_.paths(), 7));
  EXPECT_FALSE(parse_process_stat(""));
  EXPECT_FALSE(parse_process_stat("7 (a) S 1 2"));
  EXPECT_FALSE(parse_process_stat("7 a S 1 2"));
}

TEST_F(MemberFinderTest, CgroupHasWhatIsBelow) {
  use_version_2();
  run({.pid = 10, .start = 300});
  run({.pid = 11, .start = 100});
  run({.pid = 12, .start = 200});
  run({.pid = 13, .start = 50, .state = 'Z'});
  put("/a", "10\n13\n");
  put("/a/b", "11\n");
  put("/a/b/c", "12\n0\n");
  put("/ab", "99\n");
  MemberFinder found = finder("cgroup /a");
  EXPECT_THAT(pids_of(found.find()), ElementsAre(11, 12, 10)) << "oldest first";
  EXPECT_THAT(found.find().processes,
              ElementsAre(Member{11, 100}, Member{12, 200}, Member{10, 300}));
}

TEST_F(MemberFinderTest, TellsTheBound) {
  use_version_2();
  std::string pids;
  for (int i = 1; i <= 20; ++i) {
    run({.pid = 100 + i, .start = static_cast<uint64_t>(i)});
    pids += std::to_string(100 + i) + "\n";
  }
  put("/a", pids);
  const Members members = finder("cgroup /a").find(3);
  EXPECT_THAT(pids_of(members), ElementsAre(101, 102, 103));
  EXPECT_EQ(17, members.left_out);
}

TEST_F(MemberFinderTest, CgroupThatGoesIsTold) {
  use_version_2();
  run({.pid = 10});
  put("/a", "10\n");
  MemberFinder found = finder("cgroup /a");
  EXPECT_THAT(pids_of(found.find()), ElementsAre(10));
  std::filesystem::rename(tree_.path("cgroup/a"), tree_.path("cgroup/b"));
  const Members gone = found.find();
  EXPECT_THAT(gone.processes, IsEmpty());
  EXPECT_THAT(gone.none, HasSubstr("there is no cgroup /a"));
  put("/a", "");
  EXPECT_THAT(found.find().none, HasSubstr("has no process"));
  put("/a", "10\n");
  EXPECT_THAT(pids_of(found.find()), ElementsAre(10));
}

TEST_F(MemberFinderTest, ANumberThatPassedOnIsReadAnewWhenForgotten) {
  use_version_2();
  run({.pid = 10, .start = 5});
  put("/a", "10\n");
  MemberFinder found = finder("cgroup /a");
  EXPECT_THAT(found.find().processes, ElementsAre(Member{10, 5}));
  run({.pid = 10, .start = 77});
  found.forget(10);
  EXPECT_THAT(found.find().processes, ElementsAre(Member{10, 77}));
}

TEST_F(MemberFinderTest, Version1HasAHierarchyForEachController) {
  run({.pid = 10});
  run({.pid = 11});
  put("/cpu", "10\n11\n");
  put("/cpu/a", "10\n");
  put("/memory", "10\n");
  put("/memory/a", "");
  put("/unified", "10\n");
  put("/systemd", "");
  put("/systemd/system.slice/web.service", "11\n");
  EXPECT_THAT(pids_of(finder("cgroup /a").find()), ElementsAre(10)) << "where it has processes";
  EXPECT_THAT(pids_of(finder("cgroup /memory/a").find()), IsEmpty());
  EXPECT_THAT(pids_of(finder("cgroup /cpu").find()), ElementsAre(10, 11));
  EXPECT_THAT(pids_of(finder("unit web").find()), ElementsAre(11));
}

TEST_F(MemberFinderTest, UnitIsFoundWhereverItsSliceIs) {
  use_version_2();
  run({.pid = 10, .start = 1});
  run({.pid = 11, .start = 2});
  put("/system.slice/system-db.slice/db@1.service", "10\n");
  put("/system.slice/system-db.slice/db@1.service/helper", "11\n");
  put("/system.slice/other.service", "");
  MemberFinder found = finder("unit db@1");
  EXPECT_THAT(pids_of(found.find()), ElementsAre(10, 11));
  const Members none = finder("unit db").find();
  EXPECT_THAT(none.processes, IsEmpty());
  EXPECT_THAT(none.none, HasSubstr("there is db@1.service"));
}

TEST_F(MemberFinderTest, UnitThatRestartsIsFoundAgain) {
  use_version_2();
  run({.pid = 10});
  put("/system.slice/web.service", "10\n");
  MemberFinder found = finder("unit web");
  EXPECT_THAT(pids_of(found.find()), ElementsAre(10));
  end(10);
  std::filesystem::remove_all(tree_.path("cgroup/system.slice"));
  EXPECT_THAT(found.find().processes, IsEmpty());
  run({.pid = 20});
  put("/other.slice/web.service", "20\n");
  EXPECT_THAT(pids_of(found.find()), ElementsAre(20));
}

TEST_F(MemberFinderTest, TreeKeepsThoseThatChangeTheirParent) {
  run({.pid = 1, .parent = 0, .start = 0});
  run({.pid = 10, .start = 10});
  run({.pid = 11, .parent = 10, .start = 11});
  run({.pid = 12, .parent = 11, .start = 12});
  run({.pid = 13, .parent = 1, .start = 13});
  MemberFinder found = finder("tree 10");
  EXPECT_THAT(pids_of(found.find()), ElementsAre(10, 11, 12));
  end(11);
  run({.pid = 12, .parent = 1, .start = 12});  // an orphan now
  run({.pid = 14, .parent = 12, .start = 14});
  EXPECT_THAT(pids_of(found.find()), ElementsAre(10, 12, 14));
  end(10);
  EXPECT_THAT(pids_of(found.find()), ElementsAre(12, 14));
  run({.pid = 10, .start = 99});  // the number passes on
  EXPECT_THAT(pids_of(found.find()), ElementsAre(12, 14));
  end(12), end(14);
  EXPECT_THAT(found.find().none, HasSubstr("all its descendants have ended"));
}

TEST_F(MemberFinderTest, TreeHasOrphansOfParentsThatNobodySaw) {
  run({.pid = 10, .start = 10, .session = 10});
  MemberFinder found = finder("tree 10");
  EXPECT_THAT(pids_of(found.find()), ElementsAre(10));
  // By its session, by what the kernel told of the fork, and neither.
  run({.pid = 20, .parent = 1, .start = 20, .session = 10});
  run({.pid = 21, .parent = 1, .start = 21, .session = 21});
  run({.pid = 22, .parent = 1, .start = 22, .session = 22});
  found.note_fork(10, 21);
  EXPECT_THAT(pids_of(found.find()), ElementsAre(10, 20, 21));
  end(10);
  run({.pid = 23, .parent = 1, .start = 23, .session = 10});
  EXPECT_THAT(pids_of(found.find()), ElementsAre(20, 21, 23)) << "the session outlives its leader";
}

TEST_F(MemberFinderTest, TreeOfNobody) {
  MemberFinder found = finder("tree 10");
  EXPECT_THAT(found.find().none, HasSubstr("there is no process 10"));
  run({.pid = 10});
  EXPECT_THAT(found.find().processes, IsEmpty()) << "another one than was named";
}

TEST_F(MemberFinderTest, TreeOfAProcessThatWasNamedWithItsStart) {
  run({.pid = 10, .start = 5});
  EXPECT_THAT(pids_of(finder("tree 10 started 5").find()), ElementsAre(10));
  EXPECT_THAT(pids_of(finder("tree 10 started 4").find()), IsEmpty()) << "the number passed on";
}

TEST_F(MemberFinderTest, CommIsTheWholeName) {
  run({.pid = 10, .start = 1, .comm = "web"});
  run({.pid = 11, .start = 2, .comm = "web server"});
  run({.pid = 12, .start = 3, .comm = "web\nserver\xff"});
  run({.pid = 13, .start = 4, .comm = "web", .flags = 0x200000});
  run({.pid = 14, .start = 5, .comm = "abcdefghijklmno"});
  EXPECT_THAT(pids_of(finder("comm web").find()), ElementsAre(10));
  EXPECT_THAT(pids_of(finder("comm web server").find()), ElementsAre(11));
  EXPECT_THAT(pids_of(finder("comm web\\nserver\\xff").find()), ElementsAre(12));
  EXPECT_THAT(pids_of(finder("comm abcdefghijklmnopqrst").find()), ElementsAre(14));
  EXPECT_THAT(finder("comm nobody\\n").find().none, HasSubstr("nobody\\n"));
}

TEST_F(MemberFinderTest, PidsNeverStandForOthers) {
  run({.pid = 10, .start = 1});
  run({.pid = 11, .start = 2});
  MemberFinder found = finder("pids 11 10 12");
  EXPECT_THAT(pids_of(found.find()), ElementsAre(10, 11));
  run({.pid = 12, .start = 3});
  run({.pid = 10, .start = 4});
  EXPECT_THAT(pids_of(found.find()), ElementsAre(11));
}

TEST_F(MemberFinderTest, TenThousandProcesses) {
  use_version_2();
  std::string pids;
  for (int i = 1; i <= 10000; ++i) pids += std::to_string(100000 + i) + "\n";
  for (int i = 1; i <= 700; ++i)
    run({.pid = 100000 + i, .start = static_cast<uint64_t>(10000 - i)});
  put("/a", pids);
  const Members members = finder("cgroup /a").find();
  EXPECT_EQ(kMaxMembers, members.processes.size()) << "of those that are still there";
  EXPECT_EQ(700 - kMaxMembers, members.left_out);
  EXPECT_EQ(100700, members.processes.front().pid);
}

TEST_F(MemberFinderTest, NewsOfItsOwnProcessesOnlyAskForALook) {
  using Kind = ProcessEvent::Kind;
  run({.pid = 10, .start = 10});
  run({.pid = 11, .parent = 10, .start = 11, .comm = "web"});
  MemberFinder tree = finder("tree 10");
  EXPECT_THAT(pids_of(tree.find()), ElementsAre(10, 11));
  EXPECT_FALSE(tree.note({Kind::fork, 50, 49}));
  EXPECT_FALSE(tree.note({Kind::exited, 49, 0}));
  EXPECT_TRUE(tree.note({Kind::fork, 20, 11}));
  EXPECT_TRUE(tree.note({Kind::fork, 21, 20})) << "a grandchild that nobody has seen";
  EXPECT_TRUE(tree.note({Kind::exited, 11, 0}));
  EXPECT_TRUE(tree.note({Kind::lost, 0, 0}));
  run({.pid = 21, .parent = 1, .start = 21, .session = 21});
  EXPECT_THAT(pids_of(tree.find()), ElementsAre(10, 11, 21));
  MemberFinder comm = finder("comm web");
  EXPECT_THAT(pids_of(comm.find()), ElementsAre(11));
  EXPECT_TRUE(comm.note({Kind::fork, 30, 11}));
  EXPECT_TRUE(comm.note({Kind::renamed, 77, 0}));
  EXPECT_FALSE(comm.note({Kind::fork, 31, 12}));
  EXPECT_TRUE(comm.told_by_events());
  EXPECT_FALSE(finder("cgroup /a").told_by_events());
}

}  // namespace
}  // namespace damonfs
