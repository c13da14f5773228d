// Actions on children of this test, by this machine's kernel. What needs swap or several nodes is
// tested in the laboratory's guest, where this program runs too.
#include "ops/vaddr/vaddr_actions.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/magic.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>

#include <chrono>
#include <thread>

#include "tests/unit/ops/vaddr/vaddr_actions_fixtures.h"

namespace damonfs {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

using Method = ProcessPages::Method;

// By the kernel's ioctl and without it.
class VaddrActionsTest : public testing::TestWithParam<Method> {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "acting on processes is for root";
  }
  static VaddrActions make(bool dry_run = false, YoungTest* ages = nullptr) {
    return VaddrActions(Paths(), {.dry_run = dry_run, .ages = ages, .method = GetParam()});
  }
  LogCapture log_;
};

INSTANTIATE_TEST_SUITE_P(Methods, VaddrActionsTest, testing::Values(Method::best, Method::entries),
                         [](const auto& method) {
                           return method.param == Method::best ? "best" : "entries";
                         });

void* fifty_of_hundred() {
  char* memory = map_private(100);
  touch(memory, 0, 30);
  touch(memory, 70, 90);
  return memory;
}

TEST_P(VaddrActionsTest, ColdCountsWhatIsThere) {
  const MemoryChild child(fifty_of_hundred);
  Work work(Action::cold, child.process());
  work.add(child.pages(0, 10));
  work.add(child.pages(10, 40));
  work.add(child.pages(50, 60));
  work.add(child.pages(80, 200));
  auto actions = make();
  work.apply(actions);
  EXPECT_THAT(work.applied(), ElementsAre(10, 20, 0, 10));
  EXPECT_THAT(work.passed(), Each(0)) << "without filters nothing is asked";
}

// Regions that start or end within a page, or in unmapped memory.
TEST_P(VaddrActionsTest, RegionsShrinkToWholeMappedPages) {
  const MemoryChild child([] {
    char* memory = map_private(40);
    touch(memory, 0, 40);
    munmap(memory + 10 * kPageSize, 10 * kPageSize);
    return memory;
  });
  Work work(Action::cold, child.process());
  work.add({child.at() + 1, child.at() + 3 * kPageSize - 1});
  work.add({child.at() + 3 * kPageSize, child.at() + 3 * kPageSize + 100});
  work.add(child.pages(5, 30));
  auto actions = make();
  work.apply(actions);
  EXPECT_THAT(work.applied(), ElementsAre(1, 0, 15));
}

TEST_P(VaddrActionsTest, LockedMemoryInBetweenIsLeftOut) {
  const MemoryChild child([] {
    char* memory = map_private(60);
    touch(memory, 0, 60);
    return ::syscall(SYS_mlock, memory + 20 * kPageSize, 20 * kPageSize) == 0 ? memory : nullptr;
  });
  Work work(Action::cold, child.process());
  for (uint64_t page = 0; page < 60; page += 10) work.add(child.pages(page, page + 10));
  auto actions = make();
  work.apply(actions);
  EXPECT_THAT(work.applied(), ElementsAre(10, 10, 0, 0, 10, 10));
  EXPECT_THAT(log_.lines(), IsEmpty());
}

TEST_P(VaddrActionsTest, SeveralProcessesAtOnce) {
  const MemoryChild one(fifty_of_hundred);
  const MemoryChild two(fifty_of_hundred);
  Work first(Action::cold, one.process());
  Work second(Action::cold, two.process());
  first.add(one.pages(0, 5));
  second.add(two.pages(0, 7));
  auto actions = make();
  first.apply(actions);
  second.apply(actions);
  std::vector<Application> all = first.done;
  all.insert(all.end(), second.done.begin(), second.done.end());
  all.insert(all.end(), first.done.begin(), first.done.end());
  actions.apply(first.scheme, all);
  EXPECT_EQ(all[0].sz_applied, 5 * kPageSize);
  EXPECT_EQ(all[1].sz_applied, 7 * kPageSize);
  EXPECT_EQ(all[2].sz_applied, 5 * kPageSize);
}

TEST_P(VaddrActionsTest, AProcessThatIsGoneHasNothingDone) {
  MemoryChild child(fifty_of_hundred);
  Work work(Action::pageout, child.process());
  work.add(child.pages(0, 100));
  child.end();
  auto actions = make();
  work.apply(actions);
  EXPECT_THAT(work.applied(), ElementsAre(0));
  EXPECT_THAT(log_.lines(), IsEmpty());
}

// Ends the process at the second call, as a crash in the middle would.
class EndingCalls final : public ActionCalls {
 public:
  explicit EndingCalls(MemoryChild& child) : child_(child) {}
  int64_t advise(int pidfd, std::span<const iovec> ranges, int advice) override {
    if (++nr_calls_ == 2) child_.end();
    return ActionCalls::advise(pidfd, ranges, advice);
  }

 private:
  MemoryChild& child_;
  int nr_calls_ = 0;
};

TEST_P(VaddrActionsTest, AProcessMayGoInTheMiddle) {
  constexpr uint64_t kPages = 5000;
  MemoryChild child([] {
    char* memory = map_private(kPages);
    touch(memory, 0, kPages);
    return memory;
  });
  Work work(Action::cold, child.process());
  for (uint64_t page = 0; page < kPages; page += 2) work.add(child.pages(page, page + 1));
  VaddrActions actions(Paths(), {.method = GetParam()}, std::make_unique<EndingCalls>(child));
  work.apply(actions);
  uint64_t sum = 0;
  for (const double pages : work.applied()) sum += static_cast<uint64_t>(pages);
  EXPECT_EQ(sum, 1024) << "one call's worth";
  EXPECT_THAT(log_.lines(), IsEmpty());
}

// --- Pageout and willneed of files; memory that needs swap is tested where there is some.

void* map_file(int fd, uint64_t nr_pages) {
  return mmap(nullptr, nr_pages * kPageSize, PROT_READ, MAP_PRIVATE, fd, 0);
}

TEST_P(VaddrActionsTest, PageoutCountsWhatWent) {
  const ContentFile file(256);
  if (!file.on_disk()) GTEST_SKIP() << "temporary files are in memory here";
  const MemoryChild child([&] {
    const auto* at = static_cast<const char*>(map_file(file.fd(), 256));
    volatile char sum = 0;
    for (int i = 0; i < 256; ++i) sum = static_cast<char>(sum + at[i * kPageSize]);
    return const_cast<char*>(at);
  });
  ASSERT_EQ(child.count(PageState::present, child.pages(0, 256)), 256);
  Work work(Action::pageout, child.process());
  work.add(child.pages(0, 64));
  work.add(child.pages(64, 65));
  work.add(child.pages(128, 192));
  auto dry = make(true);
  work.apply(dry);
  EXPECT_THAT(work.applied(), ElementsAre(64, 1, 64));
  EXPECT_EQ(child.count(PageState::present, child.pages(0, 256)), 256) << "a dry run";
  auto actions = make();
  work.apply(actions);
  const auto left = [&](uint64_t first, uint64_t last) {
    return static_cast<double>(child.count(PageState::present, child.pages(first, last)));
  };
  // A large folio of the page cache may stay, or go with what of it lies beside the regions.
  EXPECT_THAT(work.applied(), ElementsAre(64 - left(0, 64), 1 - left(64, 65), 64 - left(128, 192)));
  EXPECT_GE(work.applied()[0], 48);
  work.apply(actions);
  EXPECT_THAT(work.applied()[0], 0) << "there is nothing left";
}

// Without swap nothing of it can go, so that nothing is applied although the kernel agrees.
TEST_P(VaddrActionsTest, PageoutCountsNothingThatStayed) {
  std::ifstream swaps("/proc/swaps");
  std::string line;
  std::getline(swaps, line);
  if (std::getline(swaps, line)) GTEST_SKIP() << "there is swap";
  const MemoryChild child(fifty_of_hundred);
  Work work(Action::pageout, child.process());
  work.add(child.pages(0, 100));
  auto actions = make();
  work.apply(actions);
  EXPECT_THAT(work.applied(), ElementsAre(0));
}

TEST_P(VaddrActionsTest, WillneedCountsWhatWasNotInMemory) {
  const ContentFile file(64);
  if (!file.on_disk()) GTEST_SKIP() << "temporary files are in memory here";
  const MemoryChild child([&] { return map_file(file.fd(), 64); });
  file.drop();
  Work work(Action::willneed, child.process());
  work.add(child.pages(0, 10));
  work.add(child.pages(10, 32));
  auto dry = make(true);
  work.apply(dry);
  EXPECT_THAT(work.applied(), ElementsAre(10, 22));
  auto actions = make();
  work.apply(actions);
  EXPECT_THAT(work.applied(), ElementsAre(10, 22));
  for (int i = 0; i < 100; ++i) {
    work.apply(dry);
    if (work.applied()[1] == 0) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  EXPECT_THAT(work.applied(), ElementsAre(0, 0)) << "it has been read";
}

TEST_P(VaddrActionsTest, WillneedOfUntouchedMemoryIsNothing) {
  const MemoryChild child(fifty_of_hundred);
  Work work(Action::willneed, child.process());
  work.add(child.pages(0, 100));
  auto actions = make();
  work.apply(actions);
  EXPECT_THAT(work.applied(), ElementsAre(0));
}

// --- Huge pages

// Four aligned blocks of 2 MiB, three of them touched.
void* four_blocks() {
  // Whether huge pages are the rule here or not: there are none at first, and none are forbidden.
  prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
  char* memory = map_private(5 * 512, MADV_NORMAL);
  const uint64_t skew = reinterpret_cast<uint64_t>(memory) / kPageSize % 512;
  char* aligned = memory + (512 - skew) % 512 * kPageSize;
  touch(aligned, 0, 3 * 512);
  prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
  return aligned;
}

TEST_P(VaddrActionsTest, CollapseCountsBlocksByRegion) {
  for (const Action action : {Action::collapse, Action::hugepage}) {
    const MemoryChild child(four_blocks);
    ASSERT_EQ(child.count(PageState::huge, child.pages(0, 2048)), 0);
    Work work(action, child.process());
    work.add(child.pages(10, 512));        // not a whole block
    work.add(child.pages(512, 612));       // the second block, in two
    work.add(child.pages(612, 1024));      //
    work.add(child.pages(1024, 1536));     // the third
    work.add(child.pages(1536, 4 * 512));  // untouched
    auto dry = make(true);
    work.apply(dry);
    EXPECT_THAT(work.applied(), ElementsAre(0, 100, 412, 512, 0));
    EXPECT_EQ(child.count(PageState::huge, child.pages(0, 2048)), 0) << "a dry run";
    auto actions = make();
    work.apply(actions);
    EXPECT_THAT(work.applied(), ElementsAre(0, 100, 412, 512, 0));
    EXPECT_EQ(child.count(PageState::huge, child.pages(0, 2048)), 1024);
    work.apply(actions);
    EXPECT_THAT(work.applied(), Each(0)) << "they are huge already";
  }
}

// --- What cannot be done

TEST_P(VaddrActionsTest, SomeActionsDoNothingAndSaySoOnce) {
  const MemoryChild child(fifty_of_hundred);
  auto actions = make();
  for (const Action action : {Action::nohugepage, Action::lru_prio, Action::lru_deprio}) {
    for (int i = 0; i < 3; ++i) {
      Work work(action, child.process());
      work.add(child.pages(0, 100));
      work.apply(actions);
      EXPECT_THAT(work.applied(), ElementsAre(0));
      EXPECT_THAT(work.passed(), ElementsAre(0));
    }
  }
  ASSERT_THAT(log_.lines(), SizeIs(3));
  EXPECT_THAT(log_.lines()[0], HasSubstr("nohugepage"));
  EXPECT_THAT(log_.lines()[1], HasSubstr("lru_prio"));
  EXPECT_THAT(log_.lines()[2], HasSubstr("lru_deprio"));
}

TEST_P(VaddrActionsTest, ATargetWithoutAProcessIsLeftAlone) {
  Work work(Action::cold, nullptr);
  work.add({0, 100 * kPageSize});
  auto actions = make();
  work.apply(actions);
  EXPECT_THAT(work.applied(), ElementsAre(0));
}

// --- Filters

// 20 pages of private memory, 20 shared ones, 10 private ones that are not there.
void* mixed_memory() {
  char* memory = map_private(50);
  share(memory + 20 * kPageSize, 20 * kPageSize);
  touch(memory, 0, 40);
  return memory;
}

TEST_P(VaddrActionsTest, FiltersSparePages) {
  const MemoryChild child(mixed_memory);
  Work work(Action::cold, child.process());
  work.add(child.pages(0, 15));
  work.add(child.pages(15, 25));
  work.add(child.pages(25, 50));
  work.scheme.params.filters.ops = {
      {.type = FilterType::anon, .matching = true, .allow = true, .memcg_path = {}, .addr = {}}};
  auto actions = make();
  work.apply(actions);
  EXPECT_THAT(work.passed(), ElementsAre(15, 5, 0));
  EXPECT_THAT(work.applied(), ElementsAre(15, 5, 0));
  work.scheme.params.filters.ops[0].allow = false;
  work.apply(actions);
  EXPECT_THAT(work.passed(), ElementsAre(0, 5, 15));
  EXPECT_THAT(work.applied(), ElementsAre(0, 5, 15));
}

TEST_P(VaddrActionsTest, ACoreFilterMayHaveLetItPass) {
  const MemoryChild child(mixed_memory);
  Work work(Action::cold, child.process());
  work.add(child.pages(0, 15));
  work.add(child.pages(15, 50));
  work.scheme.params.filters.ops = {
      {.type = FilterType::anon, .matching = true, .allow = false, .memcg_path = {}, .addr = {}}};
  work.ask_ops_filters = false;
  auto actions = make();
  work.apply(actions);
  EXPECT_THAT(work.passed(), ElementsAre(15, 25));
  EXPECT_THAT(work.applied(), ElementsAre(15, 25));
  work.done[0].ask_ops_filters = true;
  actions.apply(work.scheme, work.done);
  EXPECT_THAT(work.passed(), ElementsAre(0, 25));
  EXPECT_THAT(work.applied(), ElementsAre(0, 25));
}

TEST_P(VaddrActionsTest, StatCountsWhatPassesOnly) {
  const MemoryChild child(mixed_memory);
  Work work(Action::stat, child.process());
  work.add(child.pages(0, 50));
  auto actions = make();
  work.apply(actions);
  EXPECT_THAT(work.passed(), ElementsAre(0)) << "without filters nothing is asked";
  work.scheme.params.filters.ops = {
      {.type = FilterType::anon, .matching = true, .allow = true, .memcg_path = {}, .addr = {}}};
  work.apply(actions);
  EXPECT_THAT(work.passed(), ElementsAre(20));
  EXPECT_THAT(work.applied(), ElementsAre(0));
}

// --- Few system calls

class CountingCalls final : public ActionCalls {
 public:
  explicit CountingCalls(int& count) : count_(count) {}
  int64_t advise(int pidfd, std::span<const iovec> ranges, int advice) override {
    ++count_;
    return ActionCalls::advise(pidfd, ranges, advice);
  }

 private:
  int& count_;
};

TEST_P(VaddrActionsTest, AdjacentRegionsAreAdvisedAtOnce) {
  constexpr uint64_t kPages = 4000;  // as much as one call is given
  const MemoryChild child([] {
    char* memory = map_private(kPages);
    touch(memory, 0, kPages);
    return memory;
  });
  Work work(Action::cold, child.process());
  for (uint64_t page = 0; page < kPages; ++page) work.add(child.pages(page, page + 1));
  int count = 0;
  VaddrActions actions(Paths(), {.method = GetParam()}, std::make_unique<CountingCalls>(count));
  work.apply(actions);
  EXPECT_THAT(work.applied(), Each(1));
  EXPECT_EQ(count, 1);
}

}  // namespace
}  // namespace damonfs
