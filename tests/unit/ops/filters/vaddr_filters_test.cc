#include "ops/filters/vaddr_filters.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <map>

#include "tests/unit/ops/vaddr/vaddr_actions_fixtures.h"

namespace damonfs {
namespace {

using namespace frame_flags;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

// Says what it is told and remembers what it was asked.
class FakeAges final : public YoungTest {
 public:
  void young(const Process& /*process*/, std::span<const uint64_t> addrs,
             std::span<bool> young) override {
    for (size_t i = 0; i < addrs.size(); ++i) {
      asked.push_back((addrs[i] - kBase) / kPageSize);
      young[i] = is_young[asked.back()];
    }
  }
  std::map<uint64_t, bool> is_young;
  std::vector<uint64_t> asked;
};

// Pages 0 to 9: 0 to 3 private, 4 to 7 of a file, 8 swapped out, 9 not there.
class PageFiltersTest : public testing::Test {
 protected:
  PageFiltersTest() {
    for (uint64_t page = 0; page < 8; ++page) {
      system_.map_page(at(page, page).start, kFrame + page, page >= 4);
      system_.set_flags(kFrame + page, 0);
    }
    system_.set_page(at(8, 9).start, uint64_t{1} << 62);
  }
  // The numbers of the pages that pass.
  std::vector<uint64_t> passing(std::vector<Filter> ops, AddrRange range = at(0, 10)) {
    const Filters filters{.core = {}, .ops = std::move(ops)};
    const auto process = system_.process();
    auto info = ProcessPages::open(*process, frames_);
    const RangeList spans = {range};
    const RangeList present = info.value().find(PageState::present, spans);
    std::vector<uint64_t> pages;
    for (const AddrRange& run : filters_.passing(filters, *process, *info, spans, present)) {
      for (uint64_t addr = run.start; addr < run.end; addr += kPageSize) {
        pages.push_back((addr - kBase) / kPageSize);
      }
    }
    return pages;
  }
  void set_flags(uint64_t page, uint64_t flags) { system_.set_flags(kFrame + page, flags); }

  FakeSystem system_;
  Kpageflags frames_{system_.paths()};
  FakeAges ages_;
  VaddrFilters filters_{system_.paths(), frames_, &ages_};
  LogCapture log_;
};

TEST_F(PageFiltersTest, Anon) {
  // What is not there is not anonymous; swapped out it was.
  EXPECT_THAT(passing({filter(FilterType::anon, true, true)}), ElementsAre(0, 1, 2, 3, 8));
  EXPECT_THAT(passing({filter(FilterType::anon, true, false)}), ElementsAre(4, 5, 6, 7, 9));
  EXPECT_THAT(passing({filter(FilterType::anon, false, true)}), ElementsAre(4, 5, 6, 7, 9));
  EXPECT_THAT(passing({filter(FilterType::anon, false, false)}), ElementsAre(0, 1, 2, 3, 8));
}

TEST_F(PageFiltersTest, Active) {
  set_flags(1, kActive);
  set_flags(5, kActive);
  EXPECT_THAT(passing({filter(FilterType::active, true, true)}), ElementsAre(1, 5));
  EXPECT_THAT(passing({filter(FilterType::active, false, true)}),
              ElementsAre(0, 2, 3, 4, 6, 7, 8, 9));
}

// Every page of a folio is as active as its head, whose flag alone tells.
TEST_F(PageFiltersTest, AFolioIsActiveAsAWhole) {
  set_flags(4, kCompoundHead | kActive);
  for (const uint64_t page : {5, 6, 7}) set_flags(page, kCompoundTail);
  EXPECT_THAT(passing({filter(FilterType::active, true, true)}), ElementsAre(4, 5, 6, 7));
}

TEST_F(PageFiltersTest, HugepageSize) {
  set_flags(4, kCompoundHead);
  for (const uint64_t page : {5, 6, 7}) set_flags(page, kCompoundTail);
  set_flags(2, kCompoundHead);
  set_flags(3, kCompoundTail);
  Filter wanted = filter(FilterType::hugepage_size, true, true);
  wanted.min_sz = 2 * kPageSize;
  wanted.max_sz = 4 * kPageSize;
  EXPECT_THAT(passing({wanted}), ElementsAre(2, 3, 4, 5, 6, 7));
  wanted.max_sz = 4 * kPageSize - 1;
  EXPECT_THAT(passing({wanted}), ElementsAre(2, 3));
  wanted.min_sz = wanted.max_sz = kPageSize;
  EXPECT_THAT(passing({wanted}), ElementsAre(0, 1));
  wanted.min_sz = 2 * kPageSize + 1;
  EXPECT_THAT(passing({wanted}), IsEmpty());
}

TEST_F(PageFiltersTest, NoMappedPageIsUnmapped) {
  EXPECT_THAT(passing({filter(FilterType::unmapped, true, true)}), IsEmpty());
  EXPECT_THAT(passing({filter(FilterType::unmapped, true, false)}, at(0, 3)), ElementsAre(0, 1, 2));
}

class MemcgFilterTest : public PageFiltersTest {
 protected:
  MemcgFilterTest() {
    system_.write("cgroup/a/memory.stat", "");
    system_.write("cgroup/b/memory.stat", "");
    for (const uint64_t page : {0, 2, 5}) charge(page, "a");
    for (const uint64_t page : {1, 4}) charge(page, "b");
  }
  void charge(uint64_t page, const char* cgroup) {
    struct stat status {};
    stat(system_.path(std::string("cgroup/") + cgroup).c_str(), &status);
    system_.put_number("proc/kpagecgroup", kFrame + page, status.st_ino);
  }
  static Filter memcg(const char* path, bool matching, bool allow) {
    Filter wanted = filter(FilterType::memcg, matching, allow);
    wanted.memcg_path = path;
    return wanted;
  }
};

TEST_F(MemcgFilterTest, PagesChargedToIt) {
  EXPECT_THAT(passing({memcg("/a", true, true)}), ElementsAre(0, 2, 5));
  EXPECT_THAT(passing({memcg("/a\n", true, true)}), ElementsAre(0, 2, 5));
  EXPECT_THAT(passing({memcg("/b", true, false)}, at(0, 6)), ElementsAre(0, 2, 3, 5));
}

TEST_F(MemcgFilterTest, TailsAreChargedWithTheirHead) {
  set_flags(4, kCompoundHead);
  set_flags(5, kCompoundTail);
  EXPECT_THAT(passing({memcg("/b", true, true)}), ElementsAre(1, 4, 5));
}

TEST_F(MemcgFilterTest, OneThatIsGoneHasNoPages) {
  EXPECT_THAT(passing({memcg("/gone", true, true)}), IsEmpty());
  EXPECT_THAT(passing({memcg("/gone", true, false)}, at(0, 3)), ElementsAre(0, 1, 2));
  EXPECT_THAT(log_.lines(), IsEmpty());
}

TEST_F(PageFiltersTest, Young) {
  ages_.is_young = {{1, true}, {6, true}};
  EXPECT_THAT(passing({filter(FilterType::young, true, true)}), ElementsAre(1, 6));
  EXPECT_THAT(ages_.asked, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7)) << "pages that are there, once";
}

// A filter makes pages old; those that an earlier one decided keep their age.
TEST_F(PageFiltersTest, OnlyUndecidedPagesAreAskedFurther) {
  ages_.is_young = {{1, true}, {6, true}};
  EXPECT_THAT(
      passing({filter(FilterType::anon, true, false), filter(FilterType::young, true, false)},
              at(0, 8)),
      ElementsAre(4, 5, 7));
  EXPECT_THAT(ages_.asked, ElementsAre(4, 5, 6, 7));
}

TEST_F(PageFiltersTest, TheFirstMatchDecides) {
  set_flags(1, kActive);
  set_flags(5, kActive);
  // Active pages pass, be they of a file or not; other files' pages do not; the rest is rejected,
  // for the last filter is one that allows.
  EXPECT_THAT(
      passing({filter(FilterType::active, true, true), filter(FilterType::anon, false, false),
               filter(FilterType::hugepage_size, true, true)}),
      ElementsAre(1, 5));
  // The same two in the other order: files first.
  EXPECT_THAT(
      passing({filter(FilterType::anon, false, false), filter(FilterType::active, true, true)}),
      ElementsAre(1));
}

// The default goes by the last filter: reject behind one that allows.
TEST_F(PageFiltersTest, WhatNoFilterMatches) {
  set_flags(1, kActive);
  EXPECT_THAT(
      passing({filter(FilterType::anon, false, true), filter(FilterType::active, true, false)},
              at(0, 6)),
      ElementsAre(0, 2, 3, 4, 5));
  EXPECT_THAT(
      passing({filter(FilterType::anon, false, false), filter(FilterType::active, true, true)},
              at(0, 6)),
      ElementsAre(1));
}

TEST_F(PageFiltersTest, OnlyTheSpansAreAsked) {
  EXPECT_THAT(passing({filter(FilterType::anon, true, true)}, at(2, 5)), ElementsAre(2, 3));
}

TEST_F(PageFiltersTest, WithoutAgesNothingPassesYoung) {
  VaddrFilters ageless(system_.paths(), frames_, nullptr);
  const auto process = system_.process();
  auto info = ProcessPages::open(*process, frames_);
  const Filters filters{.core = {}, .ops = {filter(FilterType::young, true, false)}};
  const RangeList spans = {at(0, 8)};
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(ageless.passing(filters, *process, *info, spans, spans), IsEmpty());
  }
  ASSERT_THAT(log_.lines(), SizeIs(1));
  EXPECT_THAT(log_.lines()[0], HasSubstr("young"));
}

TEST_F(PageFiltersTest, WithoutFrameNumbersNothingPassesWhatNeedsThem) {
  system_.map_page(at(3, 4).start, 0);
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(passing({filter(FilterType::active, true, false)}), IsEmpty());
  }
  ASSERT_THAT(log_.lines(), SizeIs(1));
  EXPECT_THAT(log_.lines()[0], HasSubstr("Operation not permitted"));
  EXPECT_THAT(passing({filter(FilterType::anon, true, true)}), ElementsAre(0, 1, 2, 3, 8));
}

TEST_F(PageFiltersTest, WithoutTheFileNothingPasses) {
  std::filesystem::remove(system_.path("proc/kpageflags"));
  EXPECT_THAT(passing({filter(FilterType::active, true, false)}), IsEmpty());
  EXPECT_THAT(log_.lines(), SizeIs(1));
}

// More than one window of addresses.
TEST_F(PageFiltersTest, ManyPages) {
  constexpr uint64_t kFar = 20000;
  for (const uint64_t page : {kFar, kFar + 3}) {
    system_.map_page(at(page, page).start, kFrame + page);
  }
  EXPECT_THAT(passing({filter(FilterType::anon, true, true)}, at(0, 2 * kFar)),
              ElementsAre(0, 1, 2, 3, 8, kFar, kFar + 3));
}

}  // namespace
}  // namespace damonfs
