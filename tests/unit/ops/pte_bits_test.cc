// The backend `pte` on the real memory of children of this process.
#include "ops/pte_bits.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "ops/fd.h"
#include "tests/unit/ops/pte_child.h"

namespace damonfs {
namespace {

using test::Child;
using test::kPage;
using test::Memory;
using test::Watch;

std::unique_ptr<PteBits> make_bits() {
  auto made = PteBits::create(Paths{});
  EXPECT_TRUE(made) << made.error().message;
  return made ? std::move(*made) : nullptr;
}

class PteBitsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = PteBits::create(Paths{});
    if (!made && (made.error().code == EPERM || made.error().code == ENOENT))
      GTEST_SKIP() << made.error().message;
    ASSERT_TRUE(made) << made.error().message;
    bits_ = std::move(*made);
  }

  std::vector<size_t> accessed(std::span<Sample> samples) {
    bits_->check(samples);
    std::vector<size_t> found;
    for (size_t i = 0; i < samples.size(); ++i)
      if (samples[i].accessed) found.push_back(i);
    return found;
  }

  std::unique_ptr<PteBits> bits_;
};

// Touches the pages of `memory` that `which` names; to be run in the child.
Child::Action touch(const Memory& memory, std::function<bool(size_t)> which) {
  return [&memory, which = std::move(which)] {
    test::flush_tlb();
    for (size_t i = 0; i < memory.pages(); ++i)
      if (which(i)) *memory.page(i) = 1;
  };
}

Child::Action touch_all(const Memory& memory) {
  return touch(memory, [](size_t) { return true; });
}

std::vector<size_t> those(size_t count, const std::function<bool(size_t)>& which) {
  std::vector<size_t> found;
  for (size_t i = 0; i < count; ++i)
    if (which(i)) found.push_back(i);
  return found;
}

TEST_F(PteBitsTest, FindsExactlyThePagesThatWereTouched) {
  const Memory memory(1024);
  constexpr size_t kRounds = 6;
  std::vector<std::vector<size_t>> expected;
  std::vector<Child::Action> actions{touch_all(memory)};
  for (size_t round = 0; round < kRounds; ++round) {
    const auto half = [round](size_t i) { return ((i * 2654435761U + round * 40503U) >> 7 & 1) != 0; };
    actions.push_back(touch(memory, half));
    expected.push_back(those(memory.pages(), half));
  }
  Child child(actions);
  child.run(0);
  const Watch watch(child);
  auto samples = watch.samples(memory);
  for (size_t round = 0; round < kRounds; ++round) {
    bits_->prepare(samples);
    child.run(round + 1);
    EXPECT_EQ(accessed(samples), expected[round]) << "round " << round;
    for (const Sample& sample : samples) EXPECT_EQ(sample.leaf_sz, kPage);
  }
}

TEST_F(PteBitsTest, NothingTouchedIsNothingAccessed) {
  const Memory memory(64);
  Child child({touch_all(memory)});
  child.run(0);
  const Watch watch(child);
  auto samples = watch.samples(memory);
  bits_->prepare(samples);
  EXPECT_THAT(accessed(samples), testing::IsEmpty());
}

TEST_F(PteBitsTest, AddressesWithoutAPageAreNotAccessed) {
  const Memory memory(8);
  Child child({[&] { *memory.page(1) = 1; }, [&] { *memory.page(2) = 1; }});
  child.run(0);
  const Watch watch(child);
  auto samples = watch.samples_at({0, kPage, memory.addr(0), memory.addr(1), memory.addr(2),
                                memory.addr(7), 0x00007ffffffff000, 0x0000800000000000,
                                0xffff888000000000, 0xffffffff81000000, UINT64_MAX});
  bits_->prepare(samples);
  child.run(1);
  bits_->check(samples);
  for (size_t i = 0; i < samples.size(); ++i) {
    EXPECT_EQ(samples[i].accessed, i == 4) << i;
    EXPECT_EQ(samples[i].leaf_sz, i == 3 || i == 4 ? kPage : 0) << i;
  }
}

TEST_F(PteBitsTest, APageFaultedInSincePrepareIsAccessed) {
  const Memory memory(3);
  Child child({touch(memory, [](size_t i) { return i == 1; })});
  const Watch watch(child);
  auto samples = watch.samples(memory);
  bits_->prepare(samples);
  child.run(0);
  EXPECT_THAT(accessed(samples), testing::ElementsAre(1));
}

TEST_F(PteBitsTest, ThePageOfZerosIsNotAccessed) {
  const Memory memory(4);
  ::madvise(memory.data(), memory.size(), MADV_NOHUGEPAGE);
  const auto read_all = [&] {
    for (size_t i = 0; i < memory.pages(); ++i) (void)*memory.page(i);
  };
  Child child({read_all});
  child.run(0);
  const Watch watch(child);
  auto samples = watch.samples(memory);
  bits_->prepare(samples);
  child.run(0);
  EXPECT_THAT(accessed(samples), testing::IsEmpty());
  EXPECT_EQ(samples[0].leaf_sz, kPage);
}

TEST_F(PteBitsTest, AProcessThatEndsIsNotAccessed) {
  const Memory memory(128);
  Child child({touch_all(memory)});
  child.run(0);
  const Watch watch(child);
  auto samples = watch.samples(memory);
  bits_->prepare(samples);
  child.run(0);
  child.end();
  EXPECT_THAT(accessed(samples), testing::IsEmpty());
  for (const Sample& sample : samples) EXPECT_EQ(sample.leaf_sz, 0);
  bits_->prepare(samples);
  EXPECT_THAT(accessed(samples), testing::IsEmpty());
}

TEST_F(PteBitsTest, SamplesWithoutAProcessAreNotAccessed) {
  RegionPool pool;
  const Target target(pool, nullptr);
  std::vector<Sample> samples{{.target = &target, .addr = 4096}, {.target = nullptr, .addr = 8192}};
  bits_->prepare(samples);
  EXPECT_THAT(accessed(samples), testing::IsEmpty());
}

TEST_F(PteBitsTest, CheckOfOtherSamplesThanPreparedFindsNothing) {
  const Memory memory(2);
  Child child({touch_all(memory)});
  const Watch watch(child);
  auto samples = watch.samples(memory);
  child.run(0);
  EXPECT_THAT(accessed(samples), testing::IsEmpty());
}

TEST_F(PteBitsTest, TenThousandSamplesAtOnce) {
  const Memory memory(10'000);
  ::madvise(memory.data(), memory.size(), MADV_NOHUGEPAGE);
  const auto third = [](size_t i) { return i % 3 == 0; };
  Child child({touch_all(memory), touch(memory, third)});
  child.run(0);
  const Watch watch(child);
  auto samples = watch.samples(memory);
  for (int round = 0; round < 3; ++round) {
    bits_->prepare(samples);
    child.run(1);
    EXPECT_EQ(accessed(samples), those(memory.pages(), third)) << "round " << round;
  }
}

TEST_F(PteBitsTest, SeveralProcessesInOneBatch) {
  const Memory memory(256);
  const auto even = [](size_t i) { return i % 2 == 0; };
  const auto odd = [](size_t i) { return i % 2 == 1; };
  Child one({touch_all(memory), touch(memory, even)});
  Child two({touch_all(memory), touch(memory, odd)});
  one.run(0);
  two.run(0);
  const Watch watch_one(one);
  const Watch watch_two(two);
  auto samples = watch_one.samples(memory);
  const auto more = watch_two.samples(memory);
  samples.insert(samples.end(), more.begin(), more.end());
  bits_->prepare(samples);
  one.run(1);
  two.run(1);
  auto expected = those(256, even);
  for (const size_t i : those(256, odd)) expected.push_back(256 + i);
  EXPECT_EQ(accessed(samples), expected);
}

TEST_F(PteBitsTest, TwoBackendsInTwoThreads) {
  const auto watch_one = [](const Memory& memory, std::vector<size_t>& wrong) {
    auto bits = make_bits();
    ASSERT_NE(bits, nullptr);
    const auto quarter = [](size_t i) { return i % 4 == 0; };
    Child child({touch_all(memory), touch(memory, quarter)});
    child.run(0);
    const Watch watch(child);
    auto samples = watch.samples(memory);
    for (int round = 0; round < 20; ++round) {
      bits->prepare(samples);
      child.run(1);
      bits->check(samples);
      for (size_t i = 0; i < samples.size(); ++i)
        if (samples[i].accessed != quarter(i)) wrong.push_back(i);
    }
  };
  const Memory first(512);
  const Memory second(512);
  std::vector<size_t> wrong_first;
  std::vector<size_t> wrong_second;
  std::thread other([&] { watch_one(second, wrong_second); });
  watch_one(first, wrong_first);
  other.join();
  EXPECT_THAT(wrong_first, testing::IsEmpty());
  EXPECT_THAT(wrong_second, testing::IsEmpty());
}

// Where a process that waits in a system call has its stack.
uint64_t stack_pointer(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/syscall");
  std::vector<std::string> words;
  for (std::string word; file >> word;) words.push_back(word);
  return words.size() < 2 ? 0 : std::stoull(words[words.size() - 2], nullptr, 16);
}

TEST_F(PteBitsTest, ExecIsFollowed) {
  const Memory memory(1);
  std::array<int, 2> input{};
  ASSERT_EQ(::pipe(input.data()), 0);
  const Fd feed(input[1]);
  // A shell that forks for each line, which flushes the TLB.
  const auto become_shell = [&] {
    ::dup2(input[0], 0);
    ::close(input[1]);
    ::execl("/bin/sh", "sh", "-c", "while read x; do (:); done", nullptr);
    ::_exit(1);
  };
  Child child({touch_all(memory), become_shell});
  ::close(input[0]);
  child.run(0);
  const Watch watch(child);
  auto samples = watch.samples(memory);
  bits_->prepare(samples);
  child.run(0);
  EXPECT_THAT(accessed(samples), testing::ElementsAre(0));

  child.start(1);
  std::string comm;
  for (int i = 0; i < 500 && comm != "sh"; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    std::ifstream("/proc/" + std::to_string(child.pid()) + "/comm") >> comm;
  }
  ASSERT_EQ(comm, "sh");
  std::this_thread::sleep_for(std::chrono::milliseconds(300));  // until it waits for input
  samples = watch.samples_at({stack_pointer(child.pid())});
  bits_->prepare(samples);
  EXPECT_THAT(accessed(samples), testing::IsEmpty());
  EXPECT_EQ(samples[0].leaf_sz, kPage) << "the new address space is not seen";
  bits_->prepare(samples);
  ASSERT_EQ(::write(feed.get(), "x\n", 2), 2);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_THAT(accessed(samples), testing::ElementsAre(0));
}

TEST_F(PteBitsTest, PagesSharedWithAChildAreSeenByClearingTheWholeProcess) {
  const Memory memory(256);
  const auto half = [](size_t i) { return i < 128; };
  pid_t grandchild = -1;
  const auto fork_once = [&] {
    grandchild = ::fork();
    if (grandchild != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) ::pause();
  };
  const auto read_half = [&] {
    test::flush_tlb();
    for (size_t i = 0; i < 128; ++i) (void)*memory.page(i);
  };
  Child child({touch_all(memory), fork_once, read_half});
  child.run(0);
  child.run(1);
  const Watch watch(child);
  auto samples = watch.samples(memory);
  // Again and again, so that not every time the process may be cleared; then a bit that is set tells
  // of an access since it was.
  for (int round = 0; round < 100; ++round) {
    bits_->prepare(samples);
    child.run(2);
    ASSERT_EQ(accessed(samples), those(256, half)) << "round " << round;
  }
  // Written to they are its own again, and an advice will do.
  child.run(0);
  for (int round = 0; round < 3; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));  // new pages may need a clearing
    bits_->prepare(samples);
    child.run(2);
    EXPECT_EQ(accessed(samples), those(256, half)) << "own pages, round " << round;
  }
}

TEST_F(PteBitsTest, LockedPagesAreSeen) {
  const Memory memory(256);
  const auto lock = [&] {
    for (size_t i = 0; i < memory.pages(); ++i) *memory.page(i) = 1;
    ::mlock(memory.data(), memory.size());
  };
  const auto touch_some = [&] {
    test::flush_tlb();
    for (size_t i = 0; i < memory.pages(); i += 5) *memory.page(i) = 1;
  };
  Child child({lock, touch_some});
  child.run(0);
  if (test::smaps_kib(child.pid(), "Locked") == 0) GTEST_SKIP() << "nothing can be locked";
  const Watch watch(child);
  auto samples = watch.samples(memory);
  bits_->prepare(samples);
  child.run(1);
  EXPECT_EQ(accessed(samples), those(256, [](size_t i) { return i % 5 == 0; }));
}

// An unlinked file with `pages` pages of text in the page cache, in folios as the file system likes.
Fd make_file(size_t pages) {
  std::string name = "/var/tmp/damonfs-pte-XXXXXX";
  Fd file(::mkostemp(name.data(), O_CLOEXEC));
  EXPECT_TRUE(file.valid());
  ::unlink(name.c_str());
  const std::string text(pages * kPage, 'x');
  EXPECT_EQ(::pwrite(file.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
  return file;
}

// Reads every `step`th page.
Child::Action read_each(const Memory& memory, size_t step) {
  return [&memory, step] {
    test::flush_tlb();
    for (size_t i = 0; i < memory.pages(); i += step) (void)*memory.page(i);
  };
}

TEST_F(PteBitsTest, FilePagesThatAreMappedPrivately) {
  const Fd file = make_file(100);
  const Memory memory(100, MAP_PRIVATE, file.get(), PROT_READ);
  Child child({read_each(memory, 1), read_each(memory, 32)});
  child.run(0);
  const Watch watch(child);
  auto samples = watch.samples(memory);
  for (int round = 0; round < 3; ++round) {
    bits_->prepare(samples);
    child.run(1);
    EXPECT_THAT(accessed(samples), testing::ElementsAre(0, 32, 64, 96)) << "round " << round;
  }
}

TEST_F(PteBitsTest, APartOfAFileThatIsCachedInLargeFolios) {
  const Fd file = make_file(512);
  const Memory whole(512, MAP_PRIVATE, file.get(), PROT_READ);
  // Only these pages stay mapped, so that no folio of more pages is.
  const size_t first = 37;
  const size_t pages = 40;
  const auto map_part = [&] {
    ::munmap(whole.data(), first * kPage);
    ::munmap(const_cast<char*>(whole.page(first + pages)), (512 - first - pages) * kPage);
    for (size_t i = first; i < first + pages; ++i) (void)*whole.page(i);
  };
  const auto read_one = [&] {
    test::flush_tlb();
    (void)*whole.page(first + 5);
  };
  Child child({map_part, read_one});
  child.run(0);
  std::vector<uint64_t> addrs;
  for (size_t i = first; i < first + pages; ++i) addrs.push_back(whole.addr(i));
  const Watch watch(child);
  auto samples = watch.samples_at(addrs);
  bits_->prepare(samples);
  child.run(1);
  EXPECT_THAT(accessed(samples), testing::ElementsAre(5));
}

TEST_F(PteBitsTest, HugePagesAreOneEachAndStayWhole) {
  constexpr uint64_t kHuge = 2 << 20;
  const Memory memory(5 * 512);
  const uint64_t start = (memory.addr(0) + kHuge - 1) / kHuge * kHuge;
  ::madvise(memory.data(), memory.size(), MADV_HUGEPAGE);
  const auto touch_all_huge = [&] {
    for (uint64_t i = 0; i < 4 * kHuge; i += kPage) *reinterpret_cast<volatile char*>(start + i) = 1;
  };
  const auto touch_two = [&] {
    *reinterpret_cast<volatile char*>(start + 5 * kPage) = 1;
    *reinterpret_cast<volatile char*>(start + 2 * kHuge + 77 * kPage) = 1;
  };
  Child child({touch_all_huge, touch_two});
  child.run(0);
  const uint64_t huge_kib = test::smaps_kib(child.pid(), "AnonHugePages");
  if (huge_kib < 4 * kHuge / 1024) GTEST_SKIP() << "the kernel gave no huge pages";
  const Watch watch(child);
  std::vector<uint64_t> addrs;
  for (uint64_t i = 0; i < 4 * kHuge; i += kHuge / 8) addrs.push_back(start + i + 123);
  auto samples = watch.samples_at(addrs);
  for (int round = 0; round < 3; ++round) {
    bits_->prepare(samples);
    child.run(1);
    EXPECT_EQ(accessed(samples), those(32, [](size_t i) { return i / 8 % 2 == 0; }));
    for (const Sample& sample : samples) EXPECT_EQ(sample.leaf_sz, kHuge);
  }
  EXPECT_EQ(test::smaps_kib(child.pid(), "AnonHugePages"), huge_kib) << "a huge page was split";
}

// KiB of a process's memory that lies in folios of several pages; needs the rights to see page
// flags.
uint64_t kib_in_large_folios(const Child& child, const Memory& memory) {
  const auto pagemap = child.process()->open_file("pagemap", O_RDONLY);
  const Fd flags(::open("/proc/kpageflags", O_RDONLY | O_CLOEXEC));
  if (!pagemap || !flags.valid()) return 0;
  uint64_t kib = 0;
  for (size_t i = 0; i < memory.pages(); ++i) {
    uint64_t entry = 0;
    uint64_t bits = 0;
    const auto at = static_cast<off_t>(memory.addr(i) / kPage * sizeof(entry));
    if (::pread(pagemap->get(), &entry, sizeof(entry), at) != sizeof(entry)) continue;
    const uint64_t frame = entry & ((1ULL << 55) - 1);
    const auto frame_at = static_cast<off_t>(frame * sizeof(bits));
    if (::pread(flags.get(), &bits, sizeof(bits), frame_at) != sizeof(bits)) continue;
    if ((bits >> 15 & 3) != 0) kib += kPage / 1024;
  }
  return kib;
}

TEST_F(PteBitsTest, LargeFoliosAreSeenPageByPageAndStayWhole) {
  const Memory memory(1024);
  ::madvise(memory.data(), memory.size(), MADV_HUGEPAGE);
  // Not as huge pages: cut into what is too small for them.
  for (size_t i = 0; i < memory.pages(); i += 256)
    ::mprotect(const_cast<char*>(memory.page(i)), kPage, PROT_READ);
  const auto writable = [](size_t i) { return i % 256 != 0; };
  const auto some = [](size_t i) { return i % 256 != 0 && i % 7 == 0; };
  Child child({touch(memory, writable), touch(memory, some)});
  child.run(0);
  const uint64_t large_kib = kib_in_large_folios(child, memory);
  if (large_kib == 0) GTEST_SKIP() << "the kernel gave no large folios (hugepages-*kB/enabled)";
  const Watch watch(child);
  auto samples = watch.samples(memory);
  for (int round = 0; round < 3; ++round) {
    bits_->prepare(samples);
    child.run(1);
    EXPECT_EQ(accessed(samples), those(1024, some)) << "round " << round;
  }
  EXPECT_EQ(kib_in_large_folios(child, memory), large_kib) << "a large folio was split";
}

// Huge pages that are mapped page by page; `merge`: in one mapping, else in three each.
void watch_cut_huge_pages(PteBits& bits, bool merge) {
  constexpr size_t kSmall = 512;  // pages of a huge one
  const Memory memory(3 * kSmall);
  const size_t first = kSmall - memory.addr(0) / kPage % kSmall;
  ::madvise(memory.data(), memory.size(), MADV_HUGEPAGE);
  const auto touch_and_cut = [&] {
    for (size_t i = first; i < first + 2 * kSmall; ++i) *memory.page(i) = 1;
    for (size_t i = first + 7; i < first + 2 * kSmall; i += kSmall) {
      auto* page = const_cast<char*>(memory.page(i));
      ::mprotect(page, kPage, PROT_READ);
      if (merge) ::mprotect(page, kPage, PROT_READ | PROT_WRITE);
    }
  };
  const auto some = [](size_t i) { return i % 100 == 50; };
  const auto touch_some = [&] {
    test::flush_tlb();
    for (size_t i = 0; i < 2 * kSmall; ++i)
      if (some(i)) *memory.page(first + i) = 1;
  };
  Child child({touch_and_cut, touch_some});
  child.run(0);
  const uint64_t large_kib = kib_in_large_folios(child, memory);
  if (large_kib < 4096) GTEST_SKIP() << "the kernel gave no huge pages";
  std::vector<uint64_t> addrs;
  for (size_t i = 0; i < 2 * kSmall; ++i) addrs.push_back(memory.addr(first + i));
  const Watch watch(child);
  auto samples = watch.samples_at(addrs);
  for (int round = 0; round < 3; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));  // a clearing may be needed
    bits.prepare(samples);
    child.run(1);
    bits.check(samples);
    for (size_t i = 0; i < samples.size(); ++i) {
      EXPECT_EQ(samples[i].accessed, some(i)) << "page " << i << ", round " << round;
      EXPECT_EQ(samples[i].leaf_sz, kPage);
    }
  }
  EXPECT_EQ(kib_in_large_folios(child, memory), large_kib) << "a huge page was split";
}

TEST_F(PteBitsTest, HugePagesMappedPageByPageStayWhole) { watch_cut_huge_pages(*bits_, true); }

TEST_F(PteBitsTest, HugePagesInSeveralMappingsStayWhole) { watch_cut_huge_pages(*bits_, false); }

TEST_F(PteBitsTest, SwappedPagesAreNotAccessedUntilTheyAreBack) {
  const Memory memory(256);
  const auto page_out = [&] { ::madvise(memory.data(), memory.size(), MADV_PAGEOUT); };
  Child child({touch_all(memory), page_out, [&] { *memory.page(9) = 1; }});
  child.run(0);
  child.run(1);
  if (test::smaps_kib(child.pid(), "Swap") < 256) GTEST_SKIP() << "nothing is swapped out here";
  const Watch watch(child);
  auto samples = watch.samples_at({memory.addr(9), memory.addr(200)});
  bits_->prepare(samples);
  EXPECT_THAT(accessed(samples), testing::IsEmpty());
  EXPECT_EQ(samples[0].leaf_sz, 0);
  bits_->prepare(samples);
  child.run(2);
  EXPECT_THAT(accessed(samples), testing::ElementsAre(0));
  EXPECT_EQ(samples[0].leaf_sz, kPage);
}

TEST_F(PteBitsTest, YoungTellsAndMakesOld) {
  const Memory memory(16);
  Child child({touch_all(memory), touch(memory, [](size_t i) { return i == 3; })});
  child.run(0);
  std::vector<uint64_t> addrs;
  for (size_t i = 0; i < memory.pages(); ++i) addrs.push_back(memory.addr(i));
  std::array<bool, 16> young{};
  bits_->young(*child.process(), addrs, young);
  EXPECT_THAT(young, testing::Each(true));
  bits_->young(*child.process(), addrs, young);
  EXPECT_THAT(young, testing::Each(false));
  child.run(1);
  bits_->young(*child.process(), addrs, young);
  EXPECT_EQ(std::count(young.begin(), young.end(), true), 1);
  EXPECT_TRUE(young[3]);
}

}  // namespace
}  // namespace damonfs
