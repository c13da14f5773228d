// The backend `pte` on all kinds of pages: shared, locked, of files, large ones, swapped out.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <span>
#include <string>

#include "core/base/fd.h"
#include "core/base/page_size.h"
#include "ops/pte/pte_backend.h"
#include "tests/unit/ops/pte/pte_fixture.h"

namespace damonfs {
namespace {

class PtePagesTest : public PteTest {};

TEST_F(PtePagesTest, ThePageOfZerosIsNotAccessed) {
  const FreshMemory memory(4);
  ::madvise(memory.data(), memory.size(), MADV_NOHUGEPAGE);
  const auto read_all = [&] {
    for (size_t i = 0; i < memory.pages(); ++i) (void)*memory.page(i);
  };
  Actor child({read_all});
  child.run(0);
  const Watch watch(child);
  auto samples = watch.samples(memory);
  bits_->prepare(samples);
  child.run(0);
  EXPECT_THAT(accessed(samples), testing::IsEmpty());
  EXPECT_EQ(samples[0].leaf_sz, kPageSize);
}

TEST_F(PtePagesTest, PagesSharedWithAChildAreSeenByClearingTheWholeProcess) {
  const FreshMemory memory(256);
  const auto half = [](size_t i) { return i < 128; };
  pid_t grandchild = -1;
  const auto fork_once = [&] {
    grandchild = ::fork();
    if (grandchild != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) ::pause();
  };
  const auto read_half = [&] {
    flush_tlb();
    for (size_t i = 0; i < 128; ++i) (void)*memory.page(i);
  };
  Actor child({touch_all(memory), fork_once, read_half});
  child.run(0);
  child.run(1);
  const Watch watch(child);
  auto samples = watch.samples(memory);
  // Again and again, so that not every time the process may be cleared; then a bit that is set
  // tells of an access since it was.
  for (int round = 0; round < 100; ++round) {
    bits_->prepare(samples);
    child.run(2);
    ASSERT_EQ(accessed(samples), those(256, half)) << "round " << round;
  }
  // Written to they are its own again, and an advice will do.
  child.run(0);
  for (int round = 0; round < 3; ++round) {
    // New pages may need a clearing, which is allowed only so long after the last one.
    clock_.sleep_us(500000, {});
    bits_->prepare(samples);
    child.run(2);
    EXPECT_EQ(accessed(samples), those(256, half)) << "own pages, round " << round;
  }
}

TEST_F(PtePagesTest, LockedPagesAreSeen) {
  const FreshMemory memory(256);
  const auto lock = [&] {
    for (size_t i = 0; i < memory.pages(); ++i) *memory.page(i) = 1;
    ::syscall(SYS_mlock, memory.data(), memory.size());  // sanitizers leave mlock() out
  };
  const auto touch_some = [&] {
    flush_tlb();
    for (size_t i = 0; i < memory.pages(); i += 5) *memory.page(i) = 1;
  };
  Actor child({lock, touch_some});
  child.run(0);
  if (smaps_kib(child.pid(), "Locked") == 0) GTEST_SKIP() << "nothing can be locked";
  const Watch watch(child);
  auto samples = watch.samples(memory);
  bits_->prepare(samples);
  child.run(1);
  EXPECT_EQ(accessed(samples), those(256, [](size_t i) { return i % 5 == 0; }));
}

// An unlinked file with `pages` pages of text in the page cache, in folios as the file system
// likes.
Fd make_file(size_t pages) {
  std::string name = "/var/tmp/damonfs-pte-XXXXXX";
  Fd file(::mkostemp(name.data(), O_CLOEXEC));
  EXPECT_TRUE(file.valid());
  ::unlink(name.c_str());
  const std::string text(pages * kPageSize, 'x');
  EXPECT_EQ(::pwrite(file.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
  return file;
}

// Reads every `step`th page.
Actor::Action read_each(const FreshMemory& memory, size_t step) {
  return [&memory, step] {
    flush_tlb();
    for (size_t i = 0; i < memory.pages(); i += step) (void)*memory.page(i);
  };
}

TEST_F(PtePagesTest, FilePagesThatAreMappedPrivately) {
  const Fd file = make_file(100);
  const FreshMemory memory(100, MAP_PRIVATE, file.get(), PROT_READ);
  Actor child({read_each(memory, 1), read_each(memory, 32)});
  child.run(0);
  const Watch watch(child);
  auto samples = watch.samples(memory);
  for (int round = 0; round < 3; ++round) {
    bits_->prepare(samples);
    child.run(1);
    EXPECT_THAT(accessed(samples), testing::ElementsAre(0, 32, 64, 96)) << "round " << round;
  }
}

TEST_F(PtePagesTest, APartOfAFileThatIsCachedInLargeFolios) {
  const Fd file = make_file(512);
  const FreshMemory whole(512, MAP_PRIVATE, file.get(), PROT_READ);
  // Only these pages stay mapped, so that no folio of more pages is.
  const size_t first = 37;
  const size_t pages = 40;
  const auto map_part = [&] {
    ::munmap(whole.data(), first * kPageSize);
    ::munmap(const_cast<char*>(whole.page(first + pages)), (512 - first - pages) * kPageSize);
    for (size_t i = first; i < first + pages; ++i) (void)*whole.page(i);
  };
  const auto read_one = [&] {
    flush_tlb();
    (void)*whole.page(first + 5);
  };
  Actor child({map_part, read_one});
  child.run(0);
  std::vector<uint64_t> addrs;
  for (size_t i = first; i < first + pages; ++i) addrs.push_back(whole.addr(i));
  const Watch watch(child);
  auto samples = watch.samples_at(addrs);
  bits_->prepare(samples);
  child.run(1);
  EXPECT_THAT(accessed(samples), testing::ElementsAre(5));
}

TEST_F(PtePagesTest, HugePagesAreOneEachAndStayWhole) {
  constexpr uint64_t kHuge = 2 << 20;
  const FreshMemory memory(5 * 512);
  const uint64_t start = (memory.addr(0) + kHuge - 1) / kHuge * kHuge;
  ::madvise(memory.data(), memory.size(), MADV_HUGEPAGE);
  const auto touch_all_huge = [&] {
    for (uint64_t i = 0; i < 4 * kHuge; i += kPageSize)
      *reinterpret_cast<volatile char*>(start + i) = 1;
  };
  const auto touch_two = [&] {
    *reinterpret_cast<volatile char*>(start + 5 * kPageSize) = 1;
    *reinterpret_cast<volatile char*>(start + 2 * kHuge + 77 * kPageSize) = 1;
  };
  Actor child({touch_all_huge, touch_two});
  child.run(0);
  const uint64_t huge_kib = smaps_kib(child.pid(), "AnonHugePages");
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
  EXPECT_EQ(smaps_kib(child.pid(), "AnonHugePages"), huge_kib) << "a huge page was split";
}

// KiB of a process's memory that lies in folios of several pages; needs the rights to see page
// flags.
uint64_t kib_in_large_folios(const Actor& child, const FreshMemory& memory) {
  const auto pagemap = child.process()->open_file("pagemap", O_RDONLY);
  const Fd flags(::open("/proc/kpageflags", O_RDONLY | O_CLOEXEC));
  if (!pagemap || !flags.valid()) return 0;
  uint64_t kib = 0;
  for (size_t i = 0; i < memory.pages(); ++i) {
    uint64_t entry = 0;
    uint64_t bits = 0;
    const auto at = static_cast<off_t>(memory.addr(i) / kPageSize * sizeof(entry));
    if (::pread(pagemap->get(), &entry, sizeof(entry), at) != sizeof(entry)) continue;
    const uint64_t frame = entry & ((1ULL << 55) - 1);
    const auto frame_at = static_cast<off_t>(frame * sizeof(bits));
    if (::pread(flags.get(), &bits, sizeof(bits), frame_at) != sizeof(bits)) continue;
    if ((bits >> 15 & 3) != 0) kib += kPageSize / 1024;
  }
  return kib;
}

TEST_F(PtePagesTest, LargeFoliosAreSeenPageByPageAndStayWhole) {
  const FreshMemory memory(1024);
  ::madvise(memory.data(), memory.size(), MADV_HUGEPAGE);
  // Not as huge pages: cut into what is too small for them.
  for (size_t i = 0; i < memory.pages(); i += 256)
    ::mprotect(const_cast<char*>(memory.page(i)), kPageSize, PROT_READ);
  const auto writable = [](size_t i) { return i % 256 != 0; };
  const auto some = [](size_t i) { return i % 256 != 0 && i % 7 == 0; };
  Actor child({touch(memory, writable), touch(memory, some)});
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

// Which pages are touched of two huge ones.
bool is_touched(size_t page) { return page % 100 == 50; }

// Expects that `pages`, of two huge ones, are seen as accessed page by page, as is_touched() says.
void expect_touched(std::span<const Sample> pages, int round) {
  for (size_t i = 0; i < pages.size(); ++i) {
    EXPECT_EQ(pages[i].accessed, is_touched(i)) << "page " << i << ", round " << round;
    EXPECT_EQ(pages[i].leaf_sz, kPageSize);
  }
}

// Huge pages that are mapped page by page; `merge`: in one mapping, else in three each.
void watch_cut_huge_pages(PteBackend& bits, Clock& clock, bool merge) {
  constexpr size_t kSmall = 512;  // pages of a huge one
  const FreshMemory memory(3 * kSmall);
  const size_t first = kSmall - memory.addr(0) / kPageSize % kSmall;
  ::madvise(memory.data(), memory.size(), MADV_HUGEPAGE);
  const auto touch_and_cut = [&] {
    for (size_t i = first; i < first + 2 * kSmall; ++i) *memory.page(i) = 1;
    for (size_t i = first + 7; i < first + 2 * kSmall; i += kSmall) {
      auto* page = const_cast<char*>(memory.page(i));
      ::mprotect(page, kPageSize, PROT_READ);
      if (merge) ::mprotect(page, kPageSize, PROT_READ | PROT_WRITE);
    }
  };
  const auto touch_some = [&] {
    flush_tlb();
    for (size_t i = 0; i < 2 * kSmall; ++i)
      if (is_touched(i)) *memory.page(first + i) = 1;
  };
  Actor child({touch_and_cut, touch_some});
  child.run(0);
  const uint64_t large_kib = kib_in_large_folios(child, memory);
  if (large_kib < 4096) GTEST_SKIP() << "the kernel gave no huge pages";
  std::vector<uint64_t> addrs;
  for (size_t i = 0; i < 2 * kSmall; ++i) addrs.push_back(memory.addr(first + i));
  const Watch watch(child);
  auto samples = watch.samples_at(addrs);
  for (int round = 0; round < 3; ++round) {
    clock.sleep_us(500000, {});  // a clearing may be needed
    bits.prepare(samples);
    child.run(1);
    bits.check(samples);
    expect_touched(samples, round);
  }
  EXPECT_EQ(kib_in_large_folios(child, memory), large_kib) << "a huge page was split";
}

TEST_F(PtePagesTest, HugePagesMappedPageByPageStayWhole) {
  watch_cut_huge_pages(*bits_, clock_, true);
}

TEST_F(PtePagesTest, HugePagesInSeveralMappingsStayWhole) {
  watch_cut_huge_pages(*bits_, clock_, false);
}

TEST_F(PtePagesTest, SwappedPagesAreNotAccessedUntilTheyAreBack) {
  const FreshMemory memory(256);
  const auto page_out = [&] { ::madvise(memory.data(), memory.size(), MADV_PAGEOUT); };
  Actor child({touch_all(memory), page_out, [&] { *memory.page(9) = 1; }});
  child.run(0);
  child.run(1);
  if (smaps_kib(child.pid(), "Swap") < 256) GTEST_SKIP() << "nothing is swapped out here";
  const Watch watch(child);
  auto samples = watch.samples_at({memory.addr(9), memory.addr(200)});
  bits_->prepare(samples);
  EXPECT_THAT(accessed(samples), testing::IsEmpty());
  EXPECT_EQ(samples[0].leaf_sz, 0);
  bits_->prepare(samples);
  child.run(2);
  EXPECT_THAT(accessed(samples), testing::ElementsAre(0));
  EXPECT_EQ(samples[0].leaf_sz, kPageSize);
}

}  // namespace
}  // namespace damonfs
