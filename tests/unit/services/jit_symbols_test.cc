#include "services/jit_symbols.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "services/memory_groups.h"
#include "services/memory_names.h"
#include "tests/unit/ops/temp_tree.h"

namespace damonfs {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(JitSymbols, TheFirstFunctionInARange) {
  const JitSymbols symbols("1000 200 first one\n0x1400 0x100 second\n");
  EXPECT_EQ("first one", symbols.first_in({0x1000, 0x2000}));
  EXPECT_EQ("first one", symbols.first_in({0x11ff, 0x2000}));
  EXPECT_EQ("second", symbols.first_in({0x1200, 0x2000}));
  EXPECT_EQ("", symbols.first_in({0x1200, 0x1400}));
  EXPECT_EQ("", symbols.first_in({0x1500, 0x2000}));
  EXPECT_EQ("", symbols.first_in({0x0, 0x1000}));
}

TEST(JitSymbols, LaterLinesReplaceEarlierOnes) {
  const JitSymbols symbols("1000 1000 old\n1400 400 new\n3000 100 a\n3100 100 b\n3080 100 c\n");
  EXPECT_EQ("old", symbols.first_in({0x1000, 0x1400}));
  EXPECT_EQ("new", symbols.first_in({0x1400, 0x1800}));
  EXPECT_EQ("old", symbols.first_in({0x1800, 0x2000}));
  EXPECT_EQ("a", symbols.first_in({0x307f, 0x3080}));
  EXPECT_EQ("c", symbols.first_in({0x3080, 0x3180}));
  EXPECT_EQ("b", symbols.first_in({0x3180, 0x3200}));
}

TEST(JitSymbols, OtherLinesAreLeftOut) {
  const JitSymbols symbols(
      "\nhello\n1000\n1000 100\n1000 0 empty\nffffffffffffffff 2 over\n1000 100 \n-1 5 x\n"
      "1000 100 half a lin");
  EXPECT_EQ("", symbols.first_in({0, UINT64_MAX}));
  const JitSymbols longer("1000 10 " + std::string(JitSymbols::kMaxName + 5, 'x') + "\n");
  EXPECT_EQ(JitSymbols::kMaxName, longer.first_in({0x1000, 0x1001}).size());
}

// A process in a root of its own, which has the number 3 there.
class JitFileTest : public testing::Test {
 protected:
  JitFileTest() {
    write_status(::geteuid());
    tree_.write("proc/17/comm", "one\n");
    tree_.write(kFile, "7f0000000000 1800 compiled\n");
  }
  void write_status(uid_t user) const {
    tree_.write("proc/17/status",
                fmt::format("Name:\tone\nTgid:\t17\nNSpid:\t17\t3\nUid:\t0\t{}\t0\t0\n", user));
  }
  [[nodiscard]] int refusal() const {
    const auto opened = JitSymbols::open(tree_.path("proc/17"));
    return opened ? 0 : opened.error().code;
  }

  static constexpr const char* kFile = "proc/17/root/tmp/perf-3.map";
  TempTree tree_;
};

TEST_F(JitFileTest, IsReadWhenItIsOfTheProcesssUser) {
  const auto opened = JitSymbols::open(tree_.path("proc/17"));
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ("compiled", (*opened)->first_in({0x7f0000000000, 0x7f0000001000}));
  write_status(::geteuid() + 1);
  EXPECT_EQ(EPERM, refusal());
  tree_.write("proc/17/status", "Name:\tone\n");
  EXPECT_EQ(ESRCH, refusal());
}

TEST_F(JitFileTest, IsNotReadThroughALink) {
  std::filesystem::rename(tree_.path(kFile), tree_.path("proc/17/root/tmp/other"));
  EXPECT_EQ(ENOENT, refusal());
  std::filesystem::create_symlink("other", tree_.path(kFile));
  EXPECT_EQ(EPERM, refusal());
  std::filesystem::remove(tree_.path(kFile));
  std::filesystem::create_hard_link(tree_.path("proc/17/root/tmp/other"), tree_.path(kFile));
  EXPECT_EQ(EPERM, refusal());
  std::filesystem::remove(tree_.path("proc/17/root/tmp/other"));
  EXPECT_EQ(0, refusal());
  std::filesystem::rename(tree_.path("proc/17/root/tmp"), tree_.path("proc/17/root/real"));
  std::filesystem::create_symlink("real", tree_.path("proc/17/root/tmp"));
  EXPECT_EQ(EPERM, refusal()) << "nor is its directory";
}

TEST_F(JitFileTest, IsNoPipeAndNotTooLargeAndNotForAllToWrite) {
  ASSERT_EQ(0, ::chmod(tree_.path(kFile).c_str(), 0666));
  EXPECT_EQ(EPERM, refusal());
  ASSERT_EQ(0, ::chmod(tree_.path(kFile).c_str(), 0644));
  ASSERT_EQ(0, ::truncate(tree_.path(kFile).c_str(), JitSymbols::kMaxBytes + 1));
  EXPECT_EQ(EFBIG, refusal());
  std::filesystem::remove(tree_.path(kFile));
  ASSERT_EQ(0, ::mkfifo(tree_.path(kFile).c_str(), 0600));
  EXPECT_EQ(EPERM, refusal());
}

TEST_F(JitFileTest, NamesCodeBySymbol) {
  tree_.write("proc/17/maps",
              "7f0000000000-7f0000004000 rwxp 00000000 00:00 0 \n"
              "7f0000010000-7f0000012000 r-xp 00000000 00:00 0    [anon:v8]\n"
              "7f0000020000-7f0000021000 rw-p 00000000 00:00 0 \n");
  tree_.write(kFile, "7f0000000000 1800 compiled\n7f0000010100 100 later\n");
  MemoryNames names(17, tree_.paths());
  ASSERT_TRUE(names.update());
  const auto sums = [&](GroupBy by) {
    MemoryGroups groups(by);
    groups.add(names, {0x7f0000000000, 0x7f0000030000}, 0);
    std::vector<std::string> lines;
    for (const MemoryGroup& group : groups.finish()) {
      lines.push_back(fmt::format("{} {} {:x}", word_of(group.kind), group.name, group.total()));
    }
    return lines;
  };
  EXPECT_THAT(sums(GroupBy::symbol),
              ElementsAre("jit [jit]:compiled 2000", "jit [jit]:? 2000", "jit [anon:v8]:later 1000",
                          "jit [anon:v8]:? 1000", "anon [anon] 1000"));
  EXPECT_THAT(sums(GroupBy::file),
              ElementsAre("jit [jit] 4000", "jit [anon:v8] 2000", "anon [anon] 1000"));
}

TEST(JitSymbols, OfThisProcess) {
  const std::string path = fmt::format("/tmp/perf-{}.map", ::getpid());
  const Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  ASSERT_TRUE(file.valid()) << path;
  constexpr std::string_view kText = "1000 10 mine\n";
  ASSERT_EQ(static_cast<ssize_t>(kText.size()), ::write(file.get(), kText.data(), kText.size()));
  const auto opened = JitSymbols::open("/proc/self");
  ::unlink(path.c_str());
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ("mine", (*opened)->first_in({0x1000, 0x1010}));
}

}  // namespace
}  // namespace damonfs
