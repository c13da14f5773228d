#include "services/memory_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "services/memory_groups.h"
#include "tests/unit/ops/temp_tree.h"

namespace damonfs {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kMaps =
    "00400000-00500000 r-xp 00001000 fe:01 1234                               /usr/bin/my server\n"
    "00500000-00600000 rw-p 00101000 fe:01 1234                               /usr/bin/my server\n"
    "01000000-01800000 rw-p 00000000 00:00 0                                  [heap]\n"
    "7f0000000000-7f0000100000 rw-p 00000000 00:00 0 \n"
    "7f0000100000-7f0000101000 ---p 00000000 00:00 0 \n"
    "7f0000101000-7f0000901000 rw-p 00000000 00:00 0 \n"
    "7f0000a00000-7f0000b00000 rw-p 00000000 00:00 0                          [anon:cache]\n"
    "7f0000b00000-7f0000c00000 rwxp 00000000 00:00 0 \n"
    "7f0000c00000-7f0000d00000 rw-s 00002000 00:01 77                         /memfd:a b "
    "(deleted)\n"
    "7f0000d00000-7f0000e00000 rw-s 00000000 00:01 78                         /dev/zero (deleted)\n"
    "7f0000e00000-7f0000f00000 rw-s 00000000 00:01 5                          /SYSV00000000 "
    "(deleted)\n"
    "7f0000f00000-7f0001000000 rw-s 00000000 00:17 6                          /dev/shm/pool\n"
    "7f0001000000-7f0001100000 r--p 00000000 fe:01 9                          /tmp/a\\012b "
    "(deleted)\n"
    "7ffc00000000-7ffc00100000 rw-p 00000000 00:00 0                          [stack]\n"
    "7ffc00200000-7ffc00202000 r-xp 00000000 00:00 0                          [vdso]\n"
    "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n";

std::vector<std::string> names_of(const std::vector<NamedMapping>& mappings) {
  std::vector<std::string> names;
  for (const NamedMapping& mapping : mappings) {
    names.push_back(fmt::format("{} {}", word_of(mapping.kind), mapping.name));
  }
  return names;
}

TEST(NamedMappings, SaysWhatMemoryIs) {
  const auto mappings = parse_named_mappings(kMaps);
  ASSERT_TRUE(mappings) << mappings.error().message;
  EXPECT_THAT(names_of(*mappings),
              ElementsAre("file /usr/bin/my server", "file /usr/bin/my server", "heap [heap]",
                          "anon [anon]", "anon [anon]", "anon [anon]", "anon [anon:cache]",
                          "jit [jit]", "shared memfd:a b", "shared [shared anon]",
                          "shared /SYSV00000000", "shared /dev/shm/pool",
                          "file /tmp/a\nb (deleted)", "stack [stack]", "other [vdso]"));
  const NamedMapping& text = mappings->front();
  EXPECT_EQ(0x1000, text.offset);
  EXPECT_EQ((MemoryIdentity{0xfe00000001, 1234}), text.file);
  EXPECT_TRUE(text.counted_once());
  EXPECT_FALSE((*mappings)[1].counted_once()) << "written pages of its data are its own";
  EXPECT_TRUE((*mappings)[8].counted_once());
  EXPECT_FALSE((*mappings)[2].counted_once());
}

TEST(NamedMappings, RefusesOtherText) {
  for (const char* text : {"hello", "1-2", "1000-2000 rw-p", "2000-1000 rw-p 0 00:00 0\n",
                           "1000-2000 rw-p 00000000 00:00\n"}) {
    EXPECT_FALSE(parse_named_mappings(text)) << text;
  }
  EXPECT_TRUE(parse_named_mappings("")->empty());
  const auto twice = parse_named_mappings(
      "1000-3000 r--s 00000000 00:01 1 /a\n2000-5000 r--s 00001000 00:01 1 /a\n");
  ASSERT_EQ(2, twice->size());
  EXPECT_EQ((AddrRange{0x3000, 0x5000}), twice->back().range);
  EXPECT_EQ(0x2000, twice->back().offset);
}

TEST(MemoryNames, KnowsStacksByTheirPointer) {
  const TempTree tree;
  tree.write("proc/17/maps", kMaps);
  tree.write("proc/17/comm", "a\nb\n");
  tree.write("proc/17/task/17/syscall", "0 0x0 0x0 0x0 0x0 0x0 0x0 0x7ffc00000100 0x400123\n");
  tree.write("proc/17/task/18/syscall", "202 0x1 0x2 0x3 0x0 0x0 0x6 0x7f0000500000 0x400123\n");
  tree.write("proc/17/task/19/syscall", "running\n");
  MemoryNames names(17, tree.paths());
  ASSERT_TRUE(names.update());
  EXPECT_EQ("a\nb", names.comm());
  EXPECT_EQ("[stack:18]", names.at(0x7f0000500000)->name);
  EXPECT_EQ(18, names.at(0x7f0000500000)->thread);
  EXPECT_EQ("[anon]", names.at(0x7f0000000000)->name);
  EXPECT_EQ(nullptr, names.at(0x1));
  // It runs when it is looked at again; the stack is known.
  tree.write("proc/17/task/18/syscall", "running\n");
  tree.write("proc/17/task/19/syscall", "-1 0x7f0000000800 0x400123\n");
  ASSERT_TRUE(names.update());
  EXPECT_EQ("[stack:18]", names.at(0x7f0000101000)->name);
  EXPECT_EQ("[stack:19]", names.at(0x7f0000000000)->name);
  std::filesystem::remove_all(tree.path("proc/17/task/18"));
  ASSERT_TRUE(names.update());
  EXPECT_EQ("[anon]", names.at(0x7f0000101000)->name);
  std::filesystem::remove_all(tree.path("proc/17"));
  const auto gone = names.update();
  ASSERT_FALSE(gone);
  EXPECT_EQ(ESRCH, gone.error().code);
}

TEST(MemoryNames, OfThisProcess) {
  const int memory = ::memfd_create("two words", MFD_CLOEXEC);
  ASSERT_EQ(0, ::ftruncate(memory, 1 << 20));
  void* mapped = ::mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
  std::mutex mutex;
  std::condition_variable changed;
  bool done = false;
  pid_t tid = 0;
  uint64_t local = 0;
  std::thread thread([&] {
    int here = 0;
    std::unique_lock lock(mutex);
    local = reinterpret_cast<uint64_t>(&here);
    tid = ::gettid();
    changed.notify_all();
    changed.wait(lock, [&] { return done; });
  });
  {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return tid != 0; });
  }
  MemoryNames names(::getpid());
  const std::string wanted = fmt::format("[stack:{}]", tid);
  const NamedMapping* stack = nullptr;
  for (int tries = 0; tries < 500 && (stack == nullptr || stack->name != wanted); ++tries) {
    ASSERT_TRUE(names.update());
    stack = names.at(local);
    ::usleep(1000);
  }
  ASSERT_NE(nullptr, stack);
  EXPECT_EQ(wanted, stack->name);
  const NamedMapping* shared = names.at(reinterpret_cast<uint64_t>(mapped));
  ASSERT_NE(nullptr, shared);
  EXPECT_EQ("memfd:two words", shared->name);
  EXPECT_EQ(MemoryKind::file, names.at(reinterpret_cast<uint64_t>(&::getpid))->kind);
  {
    const std::lock_guard lock(mutex);
    done = true;
  }
  changed.notify_all();
  thread.join();
  ::munmap(mapped, 1 << 20);
  ::close(memory);
}

// Two processes that share a file and have memory of their own.
class MemoryGroupsTest : public testing::Test {
 protected:
  MemoryGroupsTest() {
    tree_.write("proc/1/maps",
                "1000-5000 rw-s 00000000 00:01 7 /dev/shm/pool\n"
                "8000-9000 rw-p 00000000 00:00 0 [heap]\n");
    tree_.write("proc/1/comm", "one\n");
    tree_.write("proc/2/maps",
                "11000-15000 rw-s 00001000 00:01 7 /dev/shm/pool\n"
                "18000-1a000 rw-p 00000000 00:00 0 [heap]\n");
    tree_.write("proc/2/comm", "two\n");
    EXPECT_TRUE(one_.update());
    EXPECT_TRUE(two_.update());
  }
  std::vector<std::string> sums(GroupBy by) {
    MemoryGroups groups(by);
    groups.add(one_, {0x0, 0x3000}, 0);
    groups.add(one_, {0x3000, 0x9000}, 1);
    groups.add(two_, {0x10000, 0x12000}, 1);
    groups.add(two_, {0x12000, 0x20000}, 0);
    std::vector<std::string> lines;
    for (const MemoryGroup& group : groups.finish()) {
      lines.push_back(fmt::format("{} {} {:x} {:x} of {}", group.name, group.pid, group.bytes[0],
                                  group.bytes[1], group.nr_processes));
    }
    return lines;
  }

  TempTree tree_;
  MemoryNames one_{1, tree_.paths()};
  MemoryNames two_{2, tree_.paths()};
};

TEST_F(MemoryGroupsTest, SharedBytesCountOnceAndAsHotAsAnyFindsThem) {
  // The pool's bytes 0 to 0x5000: the first finds 0 to 0x2000 hot, the other one from 0x2000 on.
  EXPECT_THAT(sums(GroupBy::file),
              ElementsAre("/dev/shm/pool 0 5000 0 of 2", "[heap] 0 2000 1000 of 2"));
}

TEST_F(MemoryGroupsTest, ByMappingAndProcess) {
  EXPECT_THAT(sums(GroupBy::process), ElementsAre("two 2 5000 0 of 1", "one 1 2000 1000 of 1"));
  EXPECT_THAT(sums(GroupBy::mapping),
              ElementsAre("/dev/shm/pool 0 3000 0 of 1", "/dev/shm/pool 0 2000 0 of 1",
                          "[heap] 2 2000 0 of 1", "[heap] 1 0 1000 of 1"));
}

TEST_F(MemoryGroupsTest, ByThreadHasItsStackApart) {
  tree_.write("proc/1/maps",
              "7000-8000 rw-p 00000000 00:00 0\n8000-9000 rw-p 00000000 00:00 0 [heap]\n");
  tree_.write("proc/1/task/9/syscall", "0 0x7100 0x400123\n");
  ASSERT_TRUE(one_.update());
  EXPECT_THAT(sums(GroupBy::thread),
              ElementsAre("two 2 5000 1000 of 1", "[stack:9] 1 0 1000 of 1", "one 1 0 1000 of 1"));
  EXPECT_THAT(sums(GroupBy::file), testing::Contains("[thread stacks] 0 0 1000 of 1"));
}

TEST(GroupByWord, IsParsed) {
  for (const GroupBy by :
       {GroupBy::mapping, GroupBy::file, GroupBy::process, GroupBy::thread, GroupBy::symbol}) {
    EXPECT_EQ(by, parse_group_by(word_of(by)).value());
  }
  EXPECT_THAT(parse_group_by("page").error().message, HasSubstr("page"));
}

}  // namespace
}  // namespace damonfs
