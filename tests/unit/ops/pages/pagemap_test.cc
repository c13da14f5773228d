#include "ops/pages/pagemap.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

#include "core/context.h"
#include "ops/procfs/maps.h"
#include "tests/unit/ops/child.h"
#include "tests/unit/ops/temp_tree.h"

namespace damonfs {
namespace {

TEST(PagemapEntryTest, TellsItsParts) {
  EXPECT_FALSE(PagemapEntry{}.present());
  EXPECT_EQ(0U, PagemapEntry{}.pfn());
  const PagemapEntry there{kPresent | 0x123};
  EXPECT_TRUE(there.present());
  EXPECT_FALSE(there.soft_dirty());
  EXPECT_EQ(0x123U, there.pfn());
  const PagemapEntry dirty{kPresent | kSoftDirty | (uint64_t{1} << 61) | 0x7fffffffffffff};
  EXPECT_TRUE(dirty.soft_dirty());
  EXPECT_EQ(0x7fffffffffffffU, dirty.pfn());
  const PagemapEntry swapped{kSwapped | 0x123};
  EXPECT_FALSE(swapped.present());
  EXPECT_EQ(0U, swapped.pfn()) << "where it is in the swap area is no frame";
}

class PagemapReaderTest : public testing::Test {
 protected:
  Target& add_target(pid_t pid) {
    tree_.make_folder(TempTree::of_process(pid, ""));
    auto process = Process::open(pid, tree_.paths());
    EXPECT_TRUE(process);
    return context_.add_target(*process);
  }
  void put(pid_t pid, uint64_t page, uint64_t pfn) const {
    tree_.put_number(TempTree::of_process(pid, "pagemap"), page, kPresent | pfn);
  }
  std::vector<uint64_t> pfns(const std::vector<Sample>& samples) {
    std::vector<uint64_t> found;
    for (const PagemapEntry& entry : reader_.read(samples)) found.push_back(entry.pfn());
    return found;
  }

  TempTree tree_;
  Context context_{OpsId::vaddr, nullptr, 1};
  PagemapReader reader_;
};

TEST_F(PagemapReaderTest, FindsEachSamplesFrame) {
  const Target& target = add_target(::getpid());
  // Pages near each other and far off, the same page twice, and one that is not there.
  for (const uint64_t page : {16U, 17U, 20U, 36U, 37U, 100000U, 100001U}) {
    put(::getpid(), page, page + 1000);
  }
  std::vector<Sample> samples;
  for (const uint64_t addr :
       {16 * kPageSize, 16 * kPageSize + 4095, 17 * kPageSize + 7, 20 * kPageSize, 25 * kPageSize,
        36 * kPageSize, 37 * kPageSize, 90000 * kPageSize, 100000 * kPageSize, 100001 * kPageSize,
        200000 * kPageSize}) {
    samples.push_back({.target = &target, .addr = addr});
  }
  EXPECT_EQ((std::vector<uint64_t>{1016, 1016, 1017, 1020, 0, 1036, 1037, 0, 101000, 101001, 0}),
            pfns(samples));
}

TEST_F(PagemapReaderTest, ManySamplesSideBySide) {
  const Target& target = add_target(::getpid());
  std::vector<Sample> samples;
  std::vector<uint64_t> expected;
  for (uint64_t page = 0; page < 10000; page += 7) {
    put(::getpid(), page, page + 1);
    samples.push_back({.target = &target, .addr = page * kPageSize});
    expected.push_back(page + 1);
  }
  EXPECT_EQ(expected, pfns(samples));
}

TEST_F(PagemapReaderTest, TellsProcessesApart) {
  const Child child;
  const Target& first = add_target(::getpid());
  const Target& second = add_target(child.pid());
  put(::getpid(), 1, 11);
  put(child.pid(), 1, 22);
  const Sample of_first{.target = &first, .addr = kPageSize};
  const Sample of_second{.target = &second, .addr = kPageSize};
  EXPECT_EQ((std::vector<uint64_t>{11, 22}), pfns({of_first, of_second}));
  EXPECT_EQ((std::vector<uint64_t>{22, 11}), pfns({of_second, of_first}));
  EXPECT_EQ((std::vector<uint64_t>{22}), pfns({of_second}));
  EXPECT_EQ((std::vector<uint64_t>{}), pfns({}));
  EXPECT_EQ((std::vector<uint64_t>{11, 22}), pfns({of_first, of_second}));
}

TEST_F(PagemapReaderTest, ProcessWithoutPagemapHasNoPages) {
  const Target& target = add_target(::getpid());
  EXPECT_EQ((std::vector<uint64_t>{0, 0}),
            pfns({{.target = &target, .addr = 0}, {.target = &target, .addr = 1 << 30}}));
}

TEST(PagemapRealTest, PagesComeWhenTouched) {
  Context context(OpsId::vaddr, nullptr, 1);
  const Target& target = context.add_target(*Process::open(::getpid(), Paths()));
  Memory memory(4 * kPageSize, false);
  const Sample sample{.target = &target, .addr = memory.address(1)};
  PagemapReader reader;
  EXPECT_TRUE(reader.read({&sample, 1})[0].present());
  ::madvise(reinterpret_cast<void*>(memory.address(1)), kPageSize, MADV_DONTNEED);
  EXPECT_FALSE(reader.read({&sample, 1})[0].present());
  memory.write(1);
  EXPECT_TRUE(reader.read({&sample, 1})[0].present());
  const Sample above{.target = &target, .addr = UINT64_MAX - 5};
  EXPECT_FALSE(reader.read({&above, 1})[0].present());
}

// The memory behind a pagemap that was opened before an exec is gone; the reader must see the new
// program's.
TEST(PagemapRealTest, FollowsAnExec) {
  int to_child[2];
  ASSERT_EQ(0, ::pipe(to_child));
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    char byte;
    if (::read(to_child[0], &byte, 1) == 1) ::execl("/bin/sleep", "sleep", "100", nullptr);
    ::_exit(1);
  }
  Child child(pid);
  Context context(OpsId::vaddr, nullptr, 1);
  const auto process = *Process::open(pid, Paths());
  const Target& target = context.add_target(process);
  PagemapReader reader;
  const auto mapped = [&] {
    size_t present = 0;
    const auto mappings = read_maps(*process);
    if (!mappings) return present;
    std::vector<Sample> samples;
    for (const AddrRange& range : *mappings) {
      samples.push_back({.target = &target, .addr = range.start});
    }
    for (const PagemapEntry& entry : reader.read(samples)) present += entry.present() ? 1 : 0;
    return present;
  };
  EXPECT_LT(0U, mapped());
  ASSERT_EQ(1, ::write(to_child[1], "x", 1));
  const auto name = [&] {
    char text[64] = {};
    const auto file = process->open_file("comm", O_RDONLY);
    return file && ::read(file->get(), text, sizeof(text) - 1) > 0 ? std::string(text) : "";
  };
  for (int i = 0; i < 500 && name() != "sleep\n"; ++i) ::usleep(10000);
  EXPECT_EQ("sleep\n", name());
  size_t present = 0;  // the new program may not have faulted anything in yet
  for (int i = 0; i < 500 && present == 0; ++i) {
    present = mapped();
    if (present == 0) ::usleep(10000);
  }
  EXPECT_LT(0U, present);
  child.kill();
  EXPECT_EQ(0U, mapped()) << "a zombie";
  const Sample sample{.target = &target, .addr = 0x400000};
  EXPECT_FALSE(reader.read({&sample, 1})[0].present());
  ::close(to_child[0]);
  ::close(to_child[1]);
}

}  // namespace
}  // namespace damonfs
