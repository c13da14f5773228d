// Actions that need swap, cgroups of version 2 or accessed bits: in the laboratory's guest `idle`,
//   scripts/lab/run idle --swap 512 BUILD/tests/unit_ops --gtest_filter='*Swap*'
// and skipped elsewhere.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "ops/idle/idle_backend.h"
#include "ops/vaddr/vaddr_actions.h"
#include "tests/unit/ops/required.h"
#include "tests/unit/ops/vaddr/vaddr_actions_fixtures.h"

namespace damonfs {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::IsEmpty;

bool has_swap() {
  std::ifstream swaps("/proc/swaps");
  std::string line;
  std::getline(swaps, line);
  return static_cast<bool>(std::getline(swaps, line));
}

class SwapTest : public testing::TestWithParam<ProcessPages::Method> {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "acting on processes is for root";
    if (!has_swap()) GTEST_SKIP() << "this machine has no swap";
  }
  static VaddrActions make(bool dry_run = false, YoungTest* ages = nullptr) {
    return VaddrActions(Paths(), {.dry_run = dry_run, .ages = ages, .method = GetParam()});
  }
  // Pages whose first byte is not what touch() wrote.
  static uint64_t wrong_pages(const MemoryChild& child, uint64_t first, uint64_t last) {
    uint64_t wrong = 0;
    for (uint64_t page = first; page < last; ++page) {
      char byte = 0;
      const iovec here{&byte, 1};
      const iovec there{reinterpret_cast<void*>(child.at() + page * kPageSize), 1};
      if (process_vm_readv(child.pid(), &here, 1, &there, 1, 0) != 1 ||
          byte != static_cast<char>(page + 1)) {
        ++wrong;
      }
    }
    return wrong;
  }
  LogCapture log_;
};

INSTANTIATE_TEST_SUITE_P(Methods, SwapTest,
                         testing::Values(ProcessPages::Method::best,
                                         ProcessPages::Method::entries));

constexpr uint64_t kChildPages = 8192;
constexpr uint64_t kHalf = kChildPages / 2;

void* touched_memory() {
  char* memory = map_private(kChildPages);
  touch(memory, 0, kChildPages);
  return memory;
}

double sum(const std::vector<double>& pages) {
  double total = 0;
  for (const double part : pages) total += part;
  return total;
}

TEST_P(SwapTest, PageoutAndBack) {
  const MemoryChild child(touched_memory);
  Work work(Action::pageout, child.process());
  for (uint64_t page = 0; page < kHalf; page += 16) work.add(child.pages(page, page + 16));
  auto dry = make(true);
  work.apply(dry);
  EXPECT_THAT(work.applied(), Each(16));
  EXPECT_EQ(child.count(PageState::swapped, child.pages(0, kChildPages)), 0);
  auto actions = make();
  work.apply(actions);
  const uint64_t left = child.count(PageState::present, child.pages(0, kHalf));
  EXPECT_EQ(sum(work.applied()), static_cast<double>(kHalf - left)) << "to the page";
  EXPECT_LE(left, kHalf / 10) << "at least nine tenths";
  EXPECT_EQ(child.count(PageState::present, child.pages(kHalf, kChildPages)), kHalf);

  Work back(Action::willneed, child.process());
  const uint64_t swapped = child.count(PageState::swapped, child.pages(0, 1024));
  back.add(child.pages(0, 1000));
  back.add(child.pages(1000, 1024));
  back.apply(dry);
  EXPECT_EQ(sum(back.applied()), static_cast<double>(swapped));
  back.apply(actions);
  EXPECT_EQ(sum(back.applied()), static_cast<double>(swapped));
  EXPECT_EQ(wrong_pages(child, 0, kChildPages), 0) << "every byte reads back";
  EXPECT_EQ(child.count(PageState::present, child.pages(0, kChildPages)), kChildPages);
  EXPECT_THAT(log_.lines(), IsEmpty());
}

TEST_P(SwapTest, WillneedOfSharedMemory) {
  const MemoryChild child([] {
    void* at =
        mmap(nullptr, 256 * kPageSize, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at != MAP_FAILED) touch(static_cast<char*>(at), 0, 128);
    return at;
  });
  Work out(Action::pageout, child.process());
  out.add(child.pages(0, 256));
  auto actions = make();
  settle(child.pid(), child.at());
  out.apply(actions);
  EXPECT_THAT(out.applied(), ElementsAre(128));
  Work back(Action::willneed, child.process());
  back.add(child.pages(0, 100));
  back.add(child.pages(100, 256));
  back.apply(actions);
  EXPECT_THAT(back.applied(), ElementsAre(100, 28)) << "holes are not read";
  EXPECT_EQ(wrong_pages(child, 0, 128), 0);
}

TEST_P(SwapTest, AnonFilterSparesSharedMemory) {
  const MemoryChild child([] {
    char* memory = map_private(64);
    share(memory + 32 * kPageSize, 32 * kPageSize);
    touch(memory, 0, 64);
    return memory;
  });
  Work work(Action::pageout, child.process());
  work.add(child.pages(0, 64));
  work.scheme.params.filters.ops = {
      {.type = FilterType::anon, .matching = true, .allow = true, .memcg_path = {}, .addr = {}}};
  settle(child.pid(), child.at());
  auto actions = make();
  work.apply(actions);
  EXPECT_THAT(work.passed(), ElementsAre(32));
  EXPECT_THAT(work.applied(), ElementsAre(32));
  EXPECT_EQ(child.count(PageState::present, child.pages(32, 64)), 32);
}

// Cgroups are made only in the laboratory, whose machine ends with the test.
class SwapMemcgTest : public SwapTest {
 protected:
  void SetUp() override {
    SwapTest::SetUp();
    if (IsSkipped()) return;
    if (std::getenv("DAMONFS_LAB") == nullptr ||
        !std::filesystem::exists("/sys/fs/cgroup/cgroup.controllers")) {
      GTEST_SKIP() << "cgroups are made in the laboratory only";
    }
    std::ofstream("/sys/fs/cgroup/cgroup.subtree_control") << "+memory";
    for (const char* name : {"a", "b"}) {
      std::filesystem::create_directory(std::string("/sys/fs/cgroup/damonfs-") + name);
    }
  }
  void TearDown() override {
    rmdir("/sys/fs/cgroup/damonfs-a");
    rmdir("/sys/fs/cgroup/damonfs-b");
  }
  static void enter(const char* name) {
    std::ofstream(std::string("/sys/fs/cgroup/damonfs-") + name + "/cgroup.procs") << getpid();
  }
};

INSTANTIATE_TEST_SUITE_P(Methods, SwapMemcgTest,
                         testing::Values(ProcessPages::Method::best,
                                         ProcessPages::Method::entries));

TEST_P(SwapMemcgTest, MemcgFilterSparesOtherCgroups) {
  const MemoryChild child([] {
    char* memory = map_private(64);
    enter("a");
    touch(memory, 0, 32);
    enter("b");
    touch(memory, 32, 64);
    return memory;
  });
  Work work(Action::pageout, child.process());
  work.add(child.pages(0, 20));
  work.add(child.pages(20, 64));
  work.scheme.params.filters.ops = {{.type = FilterType::memcg,
                                     .matching = true,
                                     .allow = true,
                                     .memcg_path = "/damonfs-b",
                                     .addr = {}}};
  settle(child.pid(), child.at());
  auto actions = make();
  work.apply(actions);
  EXPECT_THAT(work.passed(), ElementsAre(0, 32));
  EXPECT_THAT(work.applied(), ElementsAre(0, 32));
  EXPECT_EQ(child.count(PageState::present, child.pages(0, 32)), 32);
}

TEST_P(SwapTest, YoungFilterSparesWhatIsInUse) {
  auto ages = IdleBackend::open(Paths(), {});
  if (!ages) SKIP_WITHOUT("idle", ages.error());
  char* memory = map_private(512);
  touch(memory, 0, 512);
  const auto process = Process::open(getpid(), Paths()).value();
  const auto at = reinterpret_cast<uint64_t>(memory);
  settle(getpid(), at);
  auto actions = make(false, ages->get());
  Work work(Action::pageout, process);
  work.add({at, at + 150 * kPageSize});
  work.add({at + 150 * kPageSize, at + 512 * kPageSize});
  work.scheme.params.filters.ops = {
      {.type = FilterType::young, .matching = true, .allow = false, .memcg_path = {}, .addr = {}}};
  work.apply(actions);
  EXPECT_THAT(work.passed(), ElementsAre(0, 0)) << "all are young at first";
  EXPECT_THAT(work.applied(), ElementsAre(0, 0));
  // The processor must not know the translations any more, or it does not set the bits.
  mprotect(memory, 512 * kPageSize, PROT_READ);
  mprotect(memory, 512 * kPageSize, PROT_READ | PROT_WRITE);
  touch(memory, 100, 200);
  work.apply(actions);
  EXPECT_THAT(work.passed(), ElementsAre(100, 312));
  EXPECT_THAT(work.applied(), ElementsAre(100, 312));
  for (uint64_t page = 0; page < 512; ++page) {
    EXPECT_EQ(memory[page * kPageSize], static_cast<char>(page + 1));
  }
  munmap(memory, 1024 * kPageSize);
}

}  // namespace
}  // namespace damonfs
