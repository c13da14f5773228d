#include "core/target.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

#include "core/base/arithmetic.h"
#include "tests/unit/core/fake_operations.h"

namespace damonfs {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(AddrRange, SizeAndOverlap) {
  EXPECT_EQ((AddrRange{10, 30}.size()), 20);
  EXPECT_TRUE((AddrRange{10, 30}.overlaps({29, 40})));
  EXPECT_TRUE((AddrRange{10, 30}.overlaps({0, 11})));
  EXPECT_TRUE((AddrRange{10, 30}.overlaps({15, 16})));
  EXPECT_TRUE((AddrRange{15, 16}.overlaps({10, 30})));
  EXPECT_FALSE((AddrRange{10, 30}.overlaps({30, 40})));
  EXPECT_FALSE((AddrRange{10, 30}.overlaps({0, 10})));
}

class TargetTest : public testing::Test {
 protected:
  void set(std::vector<AddrRange> ranges) { target_.set_regions(ranges, kPage); }
  void add(AddrRange range, uint32_t nr_accesses, uint32_t age) {
    add_region(target_, {range, nr_accesses, age});
  }

  RegionPool pool_;
  Target target_{pool_, nullptr};
};

TEST_F(TargetTest, NewRegionsHaveSeenNothing) {
  const Region& region = target_.add_region(pages(1, 3));
  EXPECT_EQ(region.range, pages(1, 3));
  EXPECT_EQ(region.nr_accesses, 0);
  EXPECT_EQ(region.last_nr_accesses, 0);
  EXPECT_EQ(region.age, 0);
}

TEST_F(TargetTest, AddsInsertsAndRemoves) {
  target_.add_region(pages(0, 1));
  Region& last = target_.add_region(pages(4, 5));
  target_.insert_region(target_.regions().iterator_to(last), pages(2, 3));
  EXPECT_THAT(ranges_of(target_), ElementsAre(pages(0, 1), pages(2, 3), pages(4, 5)));
  EXPECT_EQ(target_.nr_regions(), 3);
  const auto behind = target_.remove_region(std::next(target_.regions().begin()));
  EXPECT_EQ(behind->range, pages(4, 5));
  EXPECT_THAT(ranges_of(target_), ElementsAre(pages(0, 1), pages(4, 5)));
  target_.clear_regions();
  EXPECT_EQ(target_.nr_regions(), 0);
}

TEST_F(TargetTest, SplitHandsCountsAndAgeToBothParts) {
  Region& left = add_region(target_, {pages(10, 20), 7, 3}, 5);
  target_.add_region(pages(20, 30));
  Region& right = target_.split_region(left, 4 * kPage);
  EXPECT_THAT(known_of(target_), ElementsAre(Known{pages(10, 14), 7, 3}, Known{pages(14, 20), 7, 3},
                                             Known{pages(20, 30), 0, 0}));
  EXPECT_EQ(left.last_nr_accesses, 5);
  EXPECT_EQ(right.last_nr_accesses, 5);
}

TEST_F(TargetTest, SetsRegionsWhereThereWereNone) {
  set({pages(1, 3), pages(5, 6)});
  EXPECT_THAT(known_of(target_), ElementsAre(Known{pages(1, 3), 0, 0}, Known{pages(5, 6), 0, 0}));
}

TEST_F(TargetTest, SetAlignsOutwards) {
  set({{kPage + 1, 3 * kPage - 1}, {5 * kPage, 5 * kPage + 1}});
  EXPECT_THAT(ranges_of(target_), ElementsAre(pages(1, 3), pages(5, 6)));
}

TEST_F(TargetTest, SetAlignsKnownRegionsOutwards) {
  add(pages(0, 10), 1, 1);
  set({{kPage + 1, 3 * kPage - 1}});
  EXPECT_THAT(known_of(target_), ElementsAre(Known{pages(1, 3), 1, 1}));
}

TEST_F(TargetTest, SetAlignsToTheUnitAsked) {
  const AddrRange range{3, 5};
  target_.set_regions({&range, 1}, 1);
  EXPECT_THAT(ranges_of(target_), ElementsAre(AddrRange{3, 5}));
}

TEST_F(TargetTest, SetKeepsWhatIsAlreadySo) {
  add(pages(0, 2), 1, 4);
  add(pages(2, 5), 2, 5);
  add(pages(8, 9), 3, 6);
  const std::vector<Known> before = known_of(target_);
  set({pages(0, 5), pages(8, 9)});
  EXPECT_EQ(known_of(target_), before);
}

TEST_F(TargetTest, SetShrinksARegion) {
  add(pages(0, 10), 3, 4);
  set({pages(2, 7)});
  EXPECT_THAT(known_of(target_), ElementsAre(Known{pages(2, 7), 3, 4}));
}

TEST_F(TargetTest, SetStretchesTheOutermostRegions) {
  add(pages(5, 6), 1, 2);
  add(pages(6, 8), 3, 4);
  set({pages(2, 10)});
  EXPECT_THAT(known_of(target_), ElementsAre(Known{pages(2, 6), 1, 2}, Known{pages(6, 10), 3, 4}));
}

TEST_F(TargetTest, SetFillsHolesWithNewRegions) {
  add(pages(0, 2), 1, 2);
  add(pages(4, 5), 3, 4);
  add(pages(9, 10), 5, 6);
  set({pages(0, 10)});
  EXPECT_THAT(known_of(target_), ElementsAre(Known{pages(0, 2), 1, 2}, Known{pages(2, 4), 0, 0},
                                             Known{pages(4, 5), 3, 4}, Known{pages(5, 9), 0, 0},
                                             Known{pages(9, 10), 5, 6}));
}

TEST_F(TargetTest, SetRemovesRegionsOutside) {
  add(pages(0, 2), 1, 2);
  add(pages(4, 5), 3, 4);
  add(pages(9, 10), 5, 6);
  set({pages(4, 5)});
  EXPECT_THAT(known_of(target_), ElementsAre(Known{pages(4, 5), 3, 4}));
}

TEST_F(TargetTest, SetReplacesAllWhenNothingIsShared) {
  add(pages(0, 2), 1, 2);
  add(pages(8, 10), 1, 2);
  set({pages(2, 4), pages(6, 8)});
  EXPECT_THAT(known_of(target_), ElementsAre(Known{pages(2, 4), 0, 0}, Known{pages(6, 8), 0, 0}));
}

TEST_F(TargetTest, SetInsertsRangesBetweenKnownRegions) {
  add(pages(0, 2), 1, 2);
  add(pages(8, 10), 3, 4);
  set({pages(0, 2), pages(4, 5), pages(8, 10), pages(20, 30)});
  EXPECT_THAT(known_of(target_),
              ElementsAre(Known{pages(0, 2), 1, 2}, Known{pages(4, 5), 0, 0},
                          Known{pages(8, 10), 3, 4}, Known{pages(20, 30), 0, 0}));
}

// A region that two ranges share belongs to the first of them.
TEST_F(TargetTest, SetGivesASharedRegionToTheFirstRange) {
  add(pages(0, 10), 3, 4);
  set({pages(0, 4), pages(6, 10)});
  EXPECT_THAT(known_of(target_), ElementsAre(Known{pages(0, 4), 3, 4}, Known{pages(6, 10), 0, 0}));
}

TEST_F(TargetTest, SetSplitsARegionIntoThree) {
  add(pages(0, 30), 3, 4);
  set({pages(1, 5), pages(10, 15), pages(20, 31)});
  EXPECT_THAT(known_of(target_), ElementsAre(Known{pages(1, 5), 3, 4}, Known{pages(10, 15), 0, 0},
                                             Known{pages(20, 31), 0, 0}));
}

TEST_F(TargetTest, SetStretchesTheNextRegionDownToASharedRange) {
  add(pages(0, 6), 1, 2);
  add(pages(6, 10), 3, 4);
  set({pages(0, 4), pages(5, 10)});
  EXPECT_THAT(known_of(target_), ElementsAre(Known{pages(0, 4), 1, 2}, Known{pages(5, 10), 3, 4}));
}

TEST_F(TargetTest, SetHandlesRangesThatTouch) {
  add(pages(0, 3), 1, 2);
  add(pages(3, 10), 3, 4);
  set({pages(0, 5), pages(5, 10)});
  EXPECT_THAT(known_of(target_), ElementsAre(Known{pages(0, 3), 1, 2}, Known{pages(3, 5), 3, 4},
                                             Known{pages(5, 10), 0, 0}));
}

TEST_F(TargetTest, SetRangesThatAlignIntoOneAnotherDoNotOverlap) {
  set({{0, kPage + 1}, {kPage + 2, 3 * kPage}, {3 * kPage - 2, 3 * kPage - 1}});
  EXPECT_THAT(ranges_of(target_), ElementsAre(pages(0, 2), pages(2, 3)));
}

TEST_F(TargetTest, SetToNothingRemovesAll) {
  add(pages(0, 3), 1, 2);
  set({});
  EXPECT_THAT(ranges_of(target_), IsEmpty());
}

TEST_F(TargetTest, SetKeepsTheLastAggregation) {
  add_region(target_, {pages(0, 4), 1, 2}, 9);
  set({pages(0, 2)});
  EXPECT_EQ(target_.regions().front().last_nr_accesses, 9);
}

// What set_regions() must come to, found page by page. Each region belongs to the first range that
// it shares a page with; of a range, what lies before (behind) its first (last) region goes to that
// one, and what lies between two regions is new.
class PageOracle {
 public:
  PageOracle(const std::vector<Known>& regions, const std::vector<AddrRange>& ranges) {
    std::vector<std::vector<Known>> members(ranges.size());
    for (const Known& region : regions) {
      for (size_t i = 0; i < ranges.size(); ++i) {
        if (!region.range.overlaps(ranges[i])) continue;
        members[i].push_back(region);
        break;
      }
    }
    for (size_t i = 0; i < ranges.size(); ++i) fill(ranges[i], members[i]);
  }

  // nr_accesses by page.
  [[nodiscard]] const std::map<uint64_t, uint32_t>& pages() const { return pages_; }
  [[nodiscard]] size_t nr_regions() const { return nr_regions_; }

 private:
  void fill(AddrRange range, const std::vector<Known>& members) {
    for (uint64_t addr = range.start; addr < range.end; addr += kPage) {
      pages_[addr] = owner(addr, members);
    }
    nr_regions_ += std::max<size_t>(members.size(), 1);
    for (size_t i = 1; i < members.size(); ++i) {
      if (members[i - 1].range.end != members[i].range.start) ++nr_regions_;
    }
  }
  static uint32_t owner(uint64_t addr, const std::vector<Known>& members) {
    if (members.empty()) return 0;
    if (addr < members.front().range.end) return members.front().nr_accesses;
    if (addr >= members.back().range.start) return members.back().nr_accesses;
    for (const Known& member : members) {
      if (member.range.start <= addr && addr < member.range.end) return member.nr_accesses;
    }
    return 0;
  }

  std::map<uint64_t, uint32_t> pages_;
  size_t nr_regions_ = 0;
};

// Ascending ranges that do not overlap but may touch.
std::vector<AddrRange> random_ranges(std::mt19937_64& engine, size_t max) {
  std::vector<AddrRange> ranges;
  uint64_t page = engine() % 8;
  for (size_t count = 1 + engine() % max; count > 0; --count) {
    const uint64_t end = page + 1 + engine() % 12;
    ranges.push_back(pages(page, end));
    page = end + (engine() % 3 == 0 ? 0 : engine() % 10);
  }
  return ranges;
}

TEST_F(TargetTest, SetAgreesWithAPageByPageOracle) {
  std::mt19937_64 engine(1);
  for (int round = 0; round < 20000; ++round) {
    SCOPED_TRACE(round);
    target_.clear_regions();
    uint32_t tag = 0;
    for (const AddrRange& range : random_ranges(engine, 10)) {
      ++tag;
      add(range, tag, tag);
    }
    const std::vector<AddrRange> wanted = random_ranges(engine, 5);
    const PageOracle oracle(known_of(target_), wanted);
    set(wanted);
    std::map<uint64_t, uint32_t> found;
    for (const Region& region : target_.regions()) {
      ASSERT_LT(region.range.start, region.range.end);
      ASSERT_EQ(region.age, region.nr_accesses);
      for (uint64_t addr = region.range.start; addr < region.range.end; addr += kPage) {
        ASSERT_TRUE(found.emplace(addr, region.nr_accesses).second) << "overlap at " << addr;
      }
    }
    ASSERT_EQ(found, oracle.pages());
    ASSERT_EQ(target_.nr_regions(), oracle.nr_regions());
    ASSERT_TRUE(std::is_sorted(
        target_.regions().begin(), target_.regions().end(),
        [](const Region& a, const Region& b) { return a.range.start < b.range.start; }));
  }
}

TEST(RegionPool, ReusesWhatWasDisposedOf) {
  RegionPool pool;
  Region* first = pool.make(pages(0, 1));
  first->nr_accesses = 9;
  pool.dispose(first);
  Region* second = pool.make(pages(1, 2));
  EXPECT_EQ(second, first);
  EXPECT_EQ(second->range, pages(1, 2));
  EXPECT_EQ(second->nr_accesses, 0);
  pool.dispose(second);
}

}  // namespace
}  // namespace damonfs
