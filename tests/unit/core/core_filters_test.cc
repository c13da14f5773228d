#include "core/core_filters.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/core/fake_operations.h"

namespace damonfs {

// How GoogleTest prints a verdict; found by the type's namespace.
inline void PrintTo(CoreVerdict verdict, std::ostream* out) {
  *out << (verdict == CoreVerdict::pass      ? "pass"
           : verdict == CoreVerdict::allowed ? "allowed"
                                             : "rejected");
}

namespace {

using testing::ElementsAre;

constexpr auto kPass = CoreVerdict::pass;
constexpr auto kAllowed = CoreVerdict::allowed;
constexpr auto kRejected = CoreVerdict::rejected;

Filter of_addr(AddrRange range, bool matching, bool allow) {
  return {.type = FilterType::addr,
          .matching = matching,
          .allow = allow,
          .memcg_path = {},
          .addr = range};
}
Filter of_target(int index, bool matching, bool allow) {
  return {.type = FilterType::target,
          .matching = matching,
          .allow = allow,
          .memcg_path = {},
          .addr = {},
          .target_idx = index};
}
Filter of_pages(bool allow) {
  return {.type = FilterType::anon, .matching = true, .allow = allow, .memcg_path = {}, .addr = {}};
}

class CoreFiltersTest : public testing::Test {
 protected:
  explicit CoreFiltersTest(AddrRange region = pages(10, 20)) { target_.add_region(region); }

  // The verdicts on all regions, those that come of cutting included.
  std::vector<CoreVerdict> ask(int target_idx = 0) {
    std::vector<CoreVerdict> verdicts;
    for (Region& region : target_.regions()) {
      verdicts.push_back(ask_core_filters(filters_, *context_, target_, target_idx, region));
    }
    return verdicts;
  }

  std::unique_ptr<Context> context_ = fake_context();
  Target& target_ = context_->add_target(nullptr);
  Filters filters_;
};

TEST_F(CoreFiltersTest, WithoutFiltersAllPass) { EXPECT_THAT(ask(), ElementsAre(kPass)); }

// --- Addresses. Rejecting what matches, so that `rejected` means it was taken for inside.

TEST_F(CoreFiltersTest, InsideTheRange) {
  filters_.core = {of_addr(pages(10, 20), true, false)};
  EXPECT_THAT(ask(), ElementsAre(kRejected));
  filters_.core = {of_addr(pages(0, 100), true, false)};
  EXPECT_THAT(ask(), ElementsAre(kRejected));
  EXPECT_EQ(target_.nr_regions(), 1);
}

TEST_F(CoreFiltersTest, OutsideTheRange) {
  for (const AddrRange& range : {pages(0, 10), pages(20, 30), pages(40, 50)}) {
    filters_.core = {of_addr(range, true, false)};
    EXPECT_THAT(ask(), ElementsAre(kPass));
  }
  EXPECT_EQ(target_.nr_regions(), 1);
}

TEST_F(CoreFiltersTest, TheRangeStartsWithin) {
  filters_.core = {of_addr(pages(13, 30), true, false)};
  EXPECT_THAT(ask(), ElementsAre(kPass, kRejected));
  EXPECT_THAT(ranges_of(target_), ElementsAre(pages(10, 13), pages(13, 20)));
}

TEST_F(CoreFiltersTest, TheRangeEndsWithin) {
  filters_.core = {of_addr(pages(0, 13), true, false)};
  EXPECT_THAT(ask(), ElementsAre(kRejected, kPass));
  EXPECT_THAT(ranges_of(target_), ElementsAre(pages(10, 13), pages(13, 20)));
}

TEST_F(CoreFiltersTest, TheRangeLiesWithin) {
  filters_.core = {of_addr(pages(13, 15), true, false)};
  EXPECT_THAT(ask(), ElementsAre(kPass, kRejected, kPass));
  EXPECT_THAT(ranges_of(target_), ElementsAre(pages(10, 13), pages(13, 15), pages(15, 20)));
}

TEST_F(CoreFiltersTest, CutPartsInheritWhatIsKnown) {
  target_.regions().front().nr_accesses = 3;
  target_.regions().front().age = 7;
  filters_.core = {of_addr(pages(13, 15), true, false)};
  ask();
  EXPECT_THAT(known_of(target_), ElementsAre(Known{pages(10, 13), 3, 7}, Known{pages(13, 15), 3, 7},
                                             Known{pages(15, 20), 3, 7}));
}

TEST_F(CoreFiltersTest, BoundsAreRoundedDownToAPage) {
  filters_.core = {of_addr({13 * kPage + 1, 15 * kPage + kPage - 1}, true, false)};
  EXPECT_THAT(ask(), ElementsAre(kPass, kRejected, kPass));
  EXPECT_THAT(ranges_of(target_), ElementsAre(pages(10, 13), pages(13, 15), pages(15, 20)));
}

TEST_F(CoreFiltersTest, ARangeWithinOnePageIsEmpty) {
  filters_.core = {of_addr({13 * kPage + 1, 13 * kPage + 9}, true, false)};
  EXPECT_THAT(ask(), ElementsAre(kPass, kPass));
}

TEST_F(CoreFiltersTest, NotMatchingTurnsTheAnswer) {
  filters_.core = {of_addr(pages(13, 15), false, false)};
  EXPECT_THAT(ask(), ElementsAre(kRejected, kPass, kRejected));
}

TEST_F(CoreFiltersTest, TwoRanges) {
  filters_.core = {of_addr(pages(11, 12), true, false), of_addr(pages(15, 30), true, false)};
  EXPECT_THAT(ask(), ElementsAre(kPass, kRejected, kPass, kRejected));
  EXPECT_THAT(ranges_of(target_),
              ElementsAre(pages(10, 11), pages(11, 12), pages(12, 15), pages(15, 20)));
}

// --- Targets

TEST_F(CoreFiltersTest, Targets) {
  filters_.core = {of_target(1, true, false)};
  EXPECT_THAT(ask(0), ElementsAre(kPass));
  EXPECT_THAT(ask(1), ElementsAre(kRejected));
  filters_.core = {of_target(1, false, false)};
  EXPECT_THAT(ask(0), ElementsAre(kRejected));
  EXPECT_THAT(ask(1), ElementsAre(kPass));
  filters_.core = {of_target(-1, true, false)};
  EXPECT_THAT(ask(0), ElementsAre(kPass));
}

// --- What decides

// Behind a filter that allows, what none matches is rejected; behind one that rejects, it passes.
TEST_F(CoreFiltersTest, TheDefaultGoesByTheLastFilter) {
  filters_.core = {of_addr(pages(13, 15), true, true)};
  EXPECT_THAT(ask(), ElementsAre(kRejected, kAllowed, kRejected));
  filters_.core = {of_target(7, true, true), of_addr(pages(13, 15), true, false)};
  EXPECT_THAT(ask(), ElementsAre(kPass, kRejected, kPass));
  filters_.core = {of_addr(pages(13, 15), true, false), of_target(7, true, true)};
  EXPECT_THAT(ask(), ElementsAre(kRejected, kRejected, kRejected));
}

// Filters of operations are still to come for what core's do not decide.
TEST_F(CoreFiltersTest, WithOpsFiltersCoreRejectsNothingByDefault) {
  filters_.core = {of_addr(pages(13, 15), true, true)};
  filters_.ops = {of_pages(false)};
  EXPECT_THAT(ask(), ElementsAre(kPass, kAllowed, kPass));
}

TEST_F(CoreFiltersTest, TheFirstMatchDecides) {
  filters_.core = {of_addr(pages(12, 14), true, true), of_addr(pages(0, 16), true, false),
                   of_target(0, true, true)};
  EXPECT_THAT(ask(), ElementsAre(kRejected, kAllowed, kRejected, kAllowed));
  EXPECT_THAT(ranges_of(target_),
              ElementsAre(pages(10, 12), pages(12, 14), pages(14, 16), pages(16, 20)));
  // The other way round nothing is left for the addresses to decide.
  std::reverse(filters_.core.begin(), filters_.core.end());
  EXPECT_THAT(ask(), ElementsAre(kAllowed, kAllowed, kAllowed, kAllowed));
}

TEST_F(CoreFiltersTest, DefaultsOfTheOpsList) {
  EXPECT_FALSE(filters_.ops_default_reject());
  filters_.ops = {of_pages(false)};
  EXPECT_FALSE(filters_.ops_default_reject());
  filters_.ops = {of_pages(false), of_pages(true)};
  EXPECT_TRUE(filters_.ops_default_reject());
  filters_.ops = {of_pages(true), of_pages(false)};
  EXPECT_FALSE(filters_.ops_default_reject());
}

TEST_F(CoreFiltersTest, CoreAnswersForAddressesAndTargetsOnly) {
  for (const FilterType type :
       {FilterType::anon, FilterType::active, FilterType::memcg, FilterType::young,
        FilterType::hugepage_size, FilterType::unmapped}) {
    EXPECT_FALSE(handled_by_core(type));
  }
  EXPECT_TRUE(handled_by_core(FilterType::addr));
  EXPECT_TRUE(handled_by_core(FilterType::target));
}

}  // namespace
}  // namespace damonfs
