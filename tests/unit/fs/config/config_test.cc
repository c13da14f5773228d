// Configurations: which files get what, in which order, and how faults are told.
#include "fs/config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <string>
#include <vector>

#include "ops/rmap/protection.h"
#include "tests/unit/fs/fake_machine.h"

namespace damonfs {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::string kAdmin = "kernel/mm/damon/admin/";

// Remembers what is written; refuses what it is told to.
class Recorder final : public TreeWriter {
 public:
  Result<void> write(const std::string& path, std::string_view text) override {
    if (path == refused) return fail(ERANGE, "too much");
    written.push_back(path + "=" + std::string(text));
    return {};
  }
  std::vector<std::string> written;
  std::string refused;
};

std::string message_of(const std::string& text, TreeWriter& writer) {
  const auto applied = apply_config(text, "file", writer);
  return applied ? "" : applied.error().message;
}

TEST(ConfigTest, DirectoriesFilesAndNumbers) {
  Recorder recorder;
  ASSERT_TRUE(apply_config(R"(
kdamonds:
  - state: on
    contexts:
      - operations: vaddr
        targets: [{pid_target: 0x10}, ~]
        monitoring_attrs/intervals/sample_us: 5000
  - refresh_ms: 10
module:
  damon_reclaim/parameters:
    enabled: Y
    min_age: 7
)",
                           "file", recorder));
  EXPECT_THAT(
      recorder.written,
      ElementsAre(kAdmin + "kdamonds/nr_kdamonds=2", kAdmin + "kdamonds/0/contexts/nr_contexts=1",
                  kAdmin + "kdamonds/0/contexts/0/operations=vaddr",
                  kAdmin + "kdamonds/0/contexts/0/targets/nr_targets=2",
                  kAdmin + "kdamonds/0/contexts/0/targets/0/pid_target=0x10",
                  kAdmin + "kdamonds/0/contexts/0/monitoring_attrs/intervals/sample_us=5000",
                  kAdmin + "kdamonds/1/refresh_ms=10", "module/damon_reclaim/parameters/min_age=7",
                  kAdmin + "kdamonds/0/state=on", "module/damon_reclaim/parameters/enabled=Y"));
}

TEST(ConfigTest, FiltersOfEveryKindAreCountedAlike) {
  Recorder recorder;
  ASSERT_TRUE(apply_config("a: {filters: [], core_filters: [], ops_filters: [{}]}", "f", recorder));
  EXPECT_THAT(recorder.written, ElementsAre("a/filters/nr_filters=0", "a/core_filters/nr_filters=0",
                                            "a/ops_filters/nr_filters=1"));
}

TEST(ConfigTest, StatesMayBeImplied) {
  Recorder recorder;
  const std::string text = "kdamonds: [{state: off}, {}, ~]";
  ASSERT_TRUE(apply_config(text, "f", recorder, ImpliedState::on));
  EXPECT_THAT(recorder.written,
              ElementsAre(kAdmin + "kdamonds/nr_kdamonds=3", kAdmin + "kdamonds/0/state=off",
                          kAdmin + "kdamonds/1/state=on", kAdmin + "kdamonds/2/state=on"));
}

TEST(ConfigTest, TextIsTakenAsItStands) {
  Recorder recorder;
  ASSERT_TRUE(apply_config("a: 010\nb: 'on'\nc: \"x\\ny\"\nd: ''\ne: true", "f", recorder));
  EXPECT_THAT(recorder.written, ElementsAre("a=010", "b=on", "c=x\ny", "d=", "e=true"));
}

TEST(ConfigTest, FaultsAreToldWithTheirLine) {
  Recorder recorder;
  recorder.refused = "a/b";
  const auto refused = apply_config("x: 1\na:\n  c: 3\n  b: 99\n  d: 4\n", "file", recorder);
  ASSERT_FALSE(refused);
  EXPECT_EQ(ERANGE, refused.error().code);
  EXPECT_EQ("file:4: a/b: \"99\" is refused: too much (ERANGE: Numerical result out of range)",
            refused.error().message);
  EXPECT_THAT(recorder.written, ElementsAre("x=1", "a/c=3")) << "it stops there";

  EXPECT_THAT(message_of("a: 1\nb: [\n", recorder), HasSubstr("file:3: "));
  EXPECT_EQ("file:2: b: there is no value", message_of("a: 1\nb:\n", recorder));
  EXPECT_EQ("file:2: l/0: a mapping is wanted", message_of("l:\n  - 3\n", recorder));
  EXPECT_EQ("file:1: a mapping of files and directories is wanted", message_of("[1, 2]", recorder));
  EXPECT_THAT(message_of("", recorder), HasSubstr("a mapping of files and directories"));
  EXPECT_THAT(message_of("? [1]\n: 2\n", recorder), HasSubstr("a name is wanted"));
  EXPECT_THAT(message_of("a: &x\n  b: *x\n", recorder), HasSubstr("this is in itself"));
}

TEST(ConfigTest, FilesThatCannotBeRead) {
  Recorder recorder;
  const auto none = apply_config_file("/no/such/file", recorder);
  ASSERT_FALSE(none);
  EXPECT_EQ(ENOENT, none.error().code);
  EXPECT_EQ("/no/such/file: No such file or directory", none.error().message);
  const auto directory = apply_config_file("/", recorder);
  ASSERT_FALSE(directory);
  EXPECT_EQ(EISDIR, directory.error().code);
}

TEST(ConfigTest, ALocalTreeAnswersAsAMount) {
  test::FakeTree tree;
  LocalTreeWriter writer(tree.tree());
  const auto code = [&](const std::string& path, const std::string& text) {
    const auto written = writer.write(path, text);
    return written ? 0 : written.error().code;
  };
  EXPECT_EQ(0, code(kAdmin + "kdamonds/nr_kdamonds", "1"));
  EXPECT_EQ(0, code(kAdmin + "kdamonds/0//contexts/nr_contexts", "1"));
  EXPECT_EQ("1\n", tree.read("kdamonds/0/contexts/nr_contexts"));
  EXPECT_EQ(EINVAL, code(kAdmin + "kdamonds/0/contexts/nr_contexts", "2"));
  EXPECT_EQ(ENOENT, code(kAdmin + "kdamonds/1/contexts/nr_contexts", "1"));
  EXPECT_EQ(ENOENT, code(kAdmin + "kdamonds/nr", "1"));
  EXPECT_EQ(ENOENT, code("", "1"));
  EXPECT_EQ(EISDIR, code(kAdmin + "kdamonds", "1"));
  EXPECT_EQ(EACCES, code(kAdmin + "kdamonds/0/contexts/0/avail_operations", "vaddr"));
}

TEST(ConfigTest, AWholeConfigurationOfATree) {
  test::FakeTree tree;
  LocalTreeWriter writer(tree.tree());
  ASSERT_EQ("", message_of(R"(
kdamonds:
  - state: on
    contexts:
      - targets: [{pid_target: 42}]
        schemes:
          - action: pageout
            quotas: {bytes: 4096, goals: [{target_metric: user_input, target_value: 7}]}
            ops_filters: [{type: anon, matching: Y}]
)",
                           writer));
  EXPECT_EQ("on\n", tree.read("kdamonds/0/state"));
  const std::string scheme = "kdamonds/0/contexts/0/schemes/0/";
  EXPECT_EQ("pageout\n", tree.read(scheme + "action"));
  EXPECT_EQ("7\n", tree.read(scheme + "quotas/goals/0/target_value"));
  EXPECT_EQ("Y\n", tree.read(scheme + "ops_filters/0/matching"));
}

TEST(ConfigTest, AProcessThatIsNotTheOneThatIsMeant) {
  test::FakeTree tree;
  LocalTreeWriter writer(tree.tree());
  const auto configured = [&](const std::string& process) {
    return message_of(
        "kdamonds:\n - state: on\n   contexts:\n    - targets: [{" + process + "pid_target: 42}]\n",
        writer);
  };
  const std::string other = configured("process: boot 41, ");
  EXPECT_THAT(other, HasSubstr("EINVAL"));
  EXPECT_THAT(other, HasSubstr("\"boot 41\""));
  EXPECT_EQ("42\n", tree.read("kdamonds/0/contexts/0/targets/0/pid_target"));
  EXPECT_EQ("off\n", tree.read("kdamonds/0/state"));
  EXPECT_THAT(configured("process: none, "), HasSubstr("EINVAL"));
  EXPECT_THAT(configured("process: [1], "), HasSubstr("targets/0/process: one line is wanted"));
  EXPECT_EQ("", configured("process: boot 42, "));
  EXPECT_EQ("on\n", tree.read("kdamonds/0/state"));
}

TEST(ConfigTest, ProcessIsAFileWhereThereIsNoPid) {
  Recorder recorder;
  ASSERT_TRUE(apply_config("a: {process: 1}\nb: {pid_target: 2, process: 3}\n", "f", recorder));
  EXPECT_THAT(recorder.written, ElementsAre("a/process=1", "b/pid_target=2"));
}

TEST(ConfigTest, TheBudgetOfSweepsLiesBesideTheInterface) {
  Recorder recorder;
  ASSERT_TRUE(apply_config("kdamonds: [{contexts: [{sweep: 2.5}], sweep: 3}]\n", "f", recorder));
  EXPECT_THAT(recorder.written,
              ElementsAre("kernel/mm/damon/admin/kdamonds/nr_kdamonds=1",
                          "kernel/mm/damon/admin/kdamonds/0/contexts/nr_contexts=1",
                          "damonfs/kdamonds/0/contexts/0/sweep=2.5",
                          "kernel/mm/damon/admin/kdamonds/0/sweep=3"));
}

TEST(ConfigTest, WhoIsProtectedIsNoFileOfTheTree) {
  const char* text = "protect: [comm=sshd, cgroup=/system.slice, pid=17]\na: 1\n";
  Recorder recorder;
  ASSERT_TRUE(apply_config(text, "f", recorder));
  EXPECT_THAT(recorder.written, ElementsAre("a=1"));

  ProtectedList list;
  const auto add = [&](std::string_view words) { return list.add(words); };
  ASSERT_TRUE(read_protected(text, "f", add));
  EXPECT_THAT(list.comms, ElementsAre("sshd"));
  EXPECT_THAT(list.cgroups, ElementsAre("/system.slice"));
  EXPECT_THAT(list.pids, ElementsAre(17));
}

TEST(ConfigTest, WhoIsProtectedNeedNotBeSaidAndIsRefusedWhenWrong) {
  ProtectedList list;
  const auto add = [&](std::string_view words) { return list.add(words); };
  EXPECT_TRUE(read_protected("a: 1\nb: {protect: [nobody]}\n", "f", add));
  EXPECT_TRUE(read_protected("protect: []\n", "f", add));
  EXPECT_TRUE(read_protected("protect:\n", "f", add));
  EXPECT_TRUE(list.comms.empty());

  const auto wrong = read_protected("a: 1\nprotect:\n - comm=sshd\n - sshd\n", "f", add);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, EINVAL);
  EXPECT_THAT(wrong.error().message, HasSubstr("f:4: protect: "));
  for (const char* text : {"protect: comm=sshd", "protect: {comm: sshd}", "protect: [[comm=a]]"}) {
    const auto refused = read_protected(text, "f", add);
    ASSERT_FALSE(refused) << text;
    EXPECT_EQ(refused.error().code, EINVAL) << text;
  }
}

}  // namespace
}  // namespace damonfs
