#include "ops/pages/process_pages.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <stop_token>
#include <vector>

#include "core/base/stop_scope.h"
#include "tests/unit/ops/vaddr/vaddr_actions_fixtures.h"

namespace damonfs {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// Entry by entry from plain files, where the kernel's ioctl is not to be had.
class ProcessPagesTest : public testing::Test {
 protected:
  RangeList find(PageState state, RangeList spans) {
    auto info = ProcessPages::open(*system_.process(), frames_);
    return info.value().find(state, spans);
  }
  FakeSystem system_;
  Kpageflags frames_{system_.paths()};
};

TEST_F(ProcessPagesTest, FindsPresentAndSwappedPages) {
  for (const uint64_t page : {1, 2, 4}) system_.map_page(at(page, page).start, 90000 + page);
  system_.set_page(at(5, 6).start, uint64_t{1} << 62 | 7);
  EXPECT_THAT(find(PageState::present, {at(0, 8)}), ElementsAre(at(1, 3), at(4, 5)));
  EXPECT_THAT(find(PageState::swapped, {at(0, 8)}), ElementsAre(at(5, 6)));
}

TEST_F(ProcessPagesTest, NothingBesideTheSpans) {
  for (uint64_t page = 0; page < 10; ++page) system_.map_page(at(page, page).start, 90000 + page);
  EXPECT_THAT(find(PageState::present, {at(1, 3), at(5, 6), at(6, 8)}),
              ElementsAre(at(1, 3), at(5, 8)));
  EXPECT_THAT(find(PageState::present, {}), IsEmpty());
}

TEST_F(ProcessPagesTest, BeyondWhatCanBeReadIsNothing) {
  system_.map_page(at(0, 1).start, 90000);
  EXPECT_THAT(find(PageState::present, {at(0, 200000)}), ElementsAre(at(0, 1)));
}

TEST_F(ProcessPagesTest, PresentPagesWithTheirEntries) {
  system_.map_page(at(1, 2).start, 90001);
  system_.map_page(at(3, 4).start, 90003);
  system_.map_page(at(6, 7).start, 90006);
  auto info = ProcessPages::open(*system_.process(), frames_);
  const RangeList spans = {at(0, 2), at(2, 5), at(6, 8)};
  const auto pages = info.value().present_pages(spans);
  ASSERT_EQ(pages.size(), 3);
  EXPECT_EQ(pages[0].addr, at(1, 2).start);
  EXPECT_EQ(pages[1].entry.pfn(), 90003);
  EXPECT_EQ(pages[2].addr, at(6, 7).start);
}

TEST_F(ProcessPagesTest, AHugePageIsOneFolioMappedInOrder) {
  using namespace frame_flags;
  constexpr uint64_t kFirst = 0x40000;
  for (uint64_t i = 0; i < 512; ++i) {
    system_.map_page(at(i, i).start, kFirst + i);
    system_.map_page(at(512 + i, i).start, kFirst + 512 + i);          // a folio each
    system_.map_page(at(1024 + i, i).start, kFirst + 1024 + (i ^ 1));  // not in order
    system_.set_flags(kFirst + i, i == 0 ? kCompoundHead : kCompoundTail);
    system_.set_flags(kFirst + 512 + i, 0);
    system_.set_flags(kFirst + 1024 + i, i == 0 ? kCompoundHead : kCompoundTail);
  }
  EXPECT_THAT(find(PageState::huge, {at(0, 1536)}), ElementsAre(at(0, 512)));
  EXPECT_THAT(find(PageState::huge, {at(1, 512)}), IsEmpty());
}

// Linux's PAGEMAP_SCAN says at times that it ended before the last range that it tells of.
TEST(ScatteredProcessPages, EachIsFoundOnce) {
  constexpr uint64_t kPages = 4096;
  const auto process = Process::open(::getpid(), Paths()).value();
  Kpageflags frames{Paths()};
  for (const uint64_t step : {2, 3, 4}) {
    void* memory = ::mmap(nullptr, kPages * kPageSize, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    ::madvise(memory, kPages * kPageSize, MADV_NOHUGEPAGE);
    const uint64_t start = reinterpret_cast<uint64_t>(memory);
    RangeList touched;
    for (uint64_t page = 0; page < kPages; page += step) {
      const uint64_t addr = start + page * kPageSize;
      *reinterpret_cast<volatile char*>(addr) = 1;
      touched.push_back({addr, addr + kPageSize});
    }
    const AddrRange all{start, start + kPages * kPageSize};
    for (const auto method : {ProcessPages::Method::best, ProcessPages::Method::entries}) {
      auto pages = ProcessPages::open(*process, frames, method).value();
      EXPECT_EQ(pages.find(PageState::present, {&all, 1}), touched) << "step " << step;
    }
    ::munmap(memory, kPages * kPageSize);
  }
}

// 64 TiB are looked at like what is in them; where that cannot be, not at all.
TEST(VastProcessPages, WhatIsReservedIsPassedOver) {
  constexpr uint64_t kSize = uint64_t{64} << 40;
  void* memory = ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) GTEST_SKIP() << "no 64 TiB of addresses here";
  const uint64_t start = reinterpret_cast<uint64_t>(memory);
  ::madvise(memory, kSize, MADV_NOHUGEPAGE);
  std::vector<AddrRange> touched;
  for (uint64_t place = 0; place < 4; ++place) {
    const uint64_t addr = start + place * (kSize / 4) + kPageSize;
    *reinterpret_cast<volatile char*>(addr) = 1;
    touched.push_back({addr, addr + kPageSize});
  }
  const auto process = Process::open(::getpid(), Paths()).value();
  Kpageflags frames{Paths()};
  const AddrRange all{start, start + kSize};
  auto best = ProcessPages::open(*process, frames).value();
  const RangeList found = best.find(PageState::present, {&all, 1});
  EXPECT_THAT(found, testing::AnyOf(touched, IsEmpty()));  // before 6.7 none
  auto entries = ProcessPages::open(*process, frames, ProcessPages::Method::entries).value();
  EXPECT_THAT(entries.find(PageState::present, {&all, 1}), IsEmpty());
  EXPECT_THAT(entries.find(PageState::present, {touched.data(), 1}), ElementsAre(touched[0]));
  ::munmap(memory, kSize);
}

// What takes more than one system call is put together, up to where the thread is to end.
TEST(VastProcessPages, AFewCallsFindAll) {
  constexpr uint64_t kPages = 3 * 65536 + 7;
  void* memory = ::mmap(nullptr, kPages * kPageSize, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  const uint64_t start = reinterpret_cast<uint64_t>(memory);
  const AddrRange all{start, start + kPages * kPageSize};
  const auto process = Process::open(::getpid(), Paths()).value();
  Kpageflags frames{Paths()};
  for (const auto method : {ProcessPages::Method::best, ProcessPages::Method::entries}) {
    auto pages = ProcessPages::open(*process, frames, method).value();
    EXPECT_THAT(pages.find(PageState::present, {&all, 1}), ElementsAre(all));
    RangeList some;
    const uint64_t end = pages.find_some(PageState::present, all, some);
    EXPECT_LT(end, all.end);
    EXPECT_THAT(some, ElementsAre(AddrRange{all.start, end}));
    std::stop_source stop;
    stop.request_stop();
    const std::stop_token token = stop.get_token();
    const StopScope scope(token);
    EXPECT_THAT(pages.find(PageState::present, {&all, 1}), IsEmpty());
  }
  ::munmap(memory, kPages * kPageSize);
}

TEST(Kpageflags, FindsFolios) {
  using namespace frame_flags;
  const FakeSystem system;
  const auto set = [&](uint64_t frame, uint64_t flags) { system.set_flags(frame, flags); };
  set(99, kActive);
  set(100, kCompoundHead | kActive);
  for (uint64_t frame = 101; frame < 104; ++frame) set(frame, kCompoundTail);
  set(104, kCompoundHead);
  set(105, kCompoundTail);
  Kpageflags frames(system.paths());
  const std::vector<uint64_t> asked = {103, 99, 105, 100, 5000000};
  std::vector<Folio> folios(asked.size());
  ASSERT_EQ(frames.folios(asked, folios), 0);
  EXPECT_EQ(folios[0].head, 100);
  EXPECT_EQ(folios[0].nr_pages, 4);
  EXPECT_EQ(folios[0].flags, kCompoundHead | kActive) << "the head's";
  EXPECT_EQ(folios[1].head, 99);
  EXPECT_EQ(folios[1].nr_pages, 1);
  EXPECT_EQ(folios[2].head, 104);
  EXPECT_EQ(folios[2].nr_pages, 2);
  EXPECT_EQ(folios[3].nr_pages, 4);
  EXPECT_EQ(folios[4].nr_pages, 1) << "beyond the last frame";
  EXPECT_EQ(folios[4].flags, 0);
}

TEST(Kpageflags, AGiganticPageIsKnownFromAnyOfItsFrames) {
  using namespace frame_flags;
  const FakeSystem system;
  constexpr uint64_t kGigantic = uint64_t{1} << 18;
  for (uint64_t frame = kGigantic; frame < kGigantic + 2048; ++frame) {
    system.set_flags(frame, kHugetlb | (frame == kGigantic ? kCompoundHead : kCompoundTail));
  }
  Kpageflags frames(system.paths());
  for (const uint64_t frame : {kGigantic, kGigantic + 5, kGigantic + 700}) {
    Folio folio;
    ASSERT_EQ(frames.folios({&frame, 1}, {&folio, 1}), 0);
    EXPECT_EQ(folio.head, kGigantic) << frame;
    EXPECT_EQ(folio.nr_pages, uint64_t{1} << 18) << frame;
  }
}

TEST(Kpageflags, ErrorsAreTold) {
  const FakeSystem system;
  Kpageflags frames(system.paths());
  const uint64_t frame = 1;
  Folio folio;
  EXPECT_EQ(frames.folios({&frame, 1}, {&folio, 1}), ENOENT);
  uint64_t inode = 0;
  EXPECT_EQ(Kpagecgroup(system.paths()).memcgs({&folio, 1}, {&inode, 1}), ENOENT);
}

// The same answers from the kernel, by either method.
class RealPageInfoTest : public testing::TestWithParam<ProcessPages::Method> {
 protected:
  static RangeList find(const MemoryChild& child, PageState state, RangeList spans) {
    Kpageflags frames{Paths()};
    auto info = ProcessPages::open(*child.process(), frames, GetParam());
    return info.value().find(state, spans);
  }
};

INSTANTIATE_TEST_SUITE_P(Methods, RealPageInfoTest,
                         testing::Values(ProcessPages::Method::best,
                                         ProcessPages::Method::entries));

TEST_P(RealPageInfoTest, FindsTouchedPages) {
  const MemoryChild child([] {
    char* memory = map_private(100);
    touch(memory, 10, 20);
    touch(memory, 50, 51);
    return memory;
  });
  EXPECT_THAT(find(child, PageState::present, {child.pages(0, 100)}),
              ElementsAre(child.pages(10, 20), child.pages(50, 51)));
  EXPECT_THAT(find(child, PageState::present, {child.pages(15, 17), child.pages(50, 60)}),
              ElementsAre(child.pages(15, 17), child.pages(50, 51)));
  EXPECT_THAT(find(child, PageState::swapped, {child.pages(0, 100)}), IsEmpty());
}

TEST_P(RealPageInfoTest, ThePageOfZerosIsNoPage) {
  if (geteuid() != 0) GTEST_SKIP() << "page frame numbers are for root";
  const MemoryChild child([] {
    char* memory = map_private(8);
    volatile char sum = 0;
    for (int i = 0; i < 4; ++i) sum = static_cast<char>(sum + memory[i * kPageSize]);
    touch(memory, 4, 6);
    return memory;
  });
  EXPECT_THAT(find(child, PageState::present, {child.pages(0, 8)}), ElementsAre(child.pages(4, 6)));
}

TEST_P(RealPageInfoTest, FindsHugePages) {
  if (geteuid() != 0) GTEST_SKIP() << "page frame numbers are for root";
  const MemoryChild child([] {
    char* memory = map_private(2048, MADV_HUGEPAGE);
    const uint64_t skew = reinterpret_cast<uint64_t>(memory) / kPageSize % 512;
    char* aligned = memory + (512 - skew) % 512 * kPageSize;
    aligned[0] = 1;
    return aligned;
  });
  if (child.count(PageState::present, child.pages(0, 512)) != 512) {
    GTEST_SKIP() << "the kernel gave no huge page";
  }
  EXPECT_THAT(find(child, PageState::huge, {child.pages(0, 1024)}),
              ElementsAre(child.pages(0, 512)));
}

TEST_P(RealPageInfoTest, OfAProcessThatIsGoneThereAreNone) {
  MemoryChild child([] {
    char* memory = map_private(8);
    touch(memory, 0, 8);
    return memory;
  });
  Kpageflags frames{Paths()};
  const auto process = child.process();
  auto info = ProcessPages::open(*process, frames, GetParam());
  ASSERT_TRUE(info);
  const AddrRange span = child.pages(0, 8);
  child.end();
  EXPECT_THAT(info.value().find(PageState::present, {&span, 1}), IsEmpty());
  EXPECT_FALSE(ProcessPages::open(*process, frames, GetParam()));
}

}  // namespace
}  // namespace damonfs
