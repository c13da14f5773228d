// Regions guided by sweeps, over a described memory in virtual time.
#include "core/sweep_guide.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "core/base/arithmetic.h"
#include "core/commit.h"
#include "core/kdamond_loop.h"
#include "tests/unit/core/fake_operations.h"
#include "tests/unit/core/virtual_clock.h"

namespace damonfs {
namespace {

constexpr uint64_t kMillisecond = 1'000'000;
constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kPagesOfMiB = 256;  // pages

// Memory of one target whose every page is resident, and of which some is accessed in regular
// periods. It is a Sweeper itself, at the measured costs.
class DescribedMemory final : public Sweeper {
 public:
  struct Heat {
    uint64_t first;  // pages
    uint64_t last;
    uint64_t period_ns;
  };

  DescribedMemory(uint64_t nr_pages, const Clock& clock) : clock_(clock), swept_ns_(nr_pages) {}

  // Accesses in (from_ns, to_ns], at a phase of the page's own.
  [[nodiscard]] bool accessed(uint64_t page, uint64_t from_ns, uint64_t to_ns) const {
    for (const Heat& part : heat) {
      if (page < part.first || page >= part.last) continue;
      const uint64_t phase = page * 2654435761 % part.period_ns;
      return (to_ns + phase) / part.period_ns > (from_ns + phase) / part.period_ns;
    }
    return false;
  }

  // From now on these parts are accessed. Pages that were accessed and not made old since stay
  // young.
  void move(std::vector<Heat> to) {
    for (const Heat& part : heat) {
      for (uint64_t page = part.first; page < part.last; ++page)
        if (accessed(page, swept_ns_[page], clock_.now_ns())) swept_ns_[page] = 0;
    }
    heat = std::move(to);
  }

  void begin_pass(std::span<const SweepWish> wishes) override {
    wished.clear();
    for (const SweepWish& wish : wishes) wished.push_back(wish.range);
    look_first_left = look_first;
    ++nr_passes;
  }

  Result<SweepPiece> sweep(const Target& /*target*/, AddrRange range, SweepMode mode,
                           std::vector<SweptRun>& runs) override {
    if (refuse != 0) return fail(refuse, "refused");
    EXPECT_EQ(mode, SweepMode::make_old);
    if (look_first_left > 0) {
      --look_first_left;
      return SweepPiece{.next = range.start, .cost = {.cpu_ns = 1000}};
    }
    const uint64_t first = align_up(range.start / kPage, leaf);
    const uint64_t last = std::min(range.end / kPage, first + 524288);  // 2 GiB
    const uint64_t now_ns = clock_.now_ns();
    SweepPiece piece;
    piece.next = std::max(last, align_up(last, leaf)) * kPage;
    for (uint64_t page = first; page < last; page += leaf) {
      // What was never made old was accessed once upon a time.
      const bool young = swept_ns_[page] == 0 || accessed(page, swept_ns_[page], now_ns);
      swept_ns_[page] = std::max<uint64_t>(now_ns, 1);
      if (young) ++piece.cost.pages_made_old;
      AccessState state = young ? AccessState::accessed : AccessState::not_accessed;
      if (page >= unknown_from && page < unknown_to) state = AccessState::unknown;
      append_joined(runs, SweptRun{pages(page, page + leaf), state});
      ++piece.cost.pages_read;
    }
    piece.cost.cpu_ns = 2 * piece.cost.pages_read + 100 * piece.cost.pages_made_old;
    total += piece.cost;
    swept.push_back({range.start, piece.next});
    return piece;
  }

  std::vector<Heat> heat;
  uint64_t leaf = 1;  // pages that share an accessed bit
  uint64_t unknown_from = 0;
  uint64_t unknown_to = 0;
  int refuse = 0;
  int look_first = 0;  // so many calls of each pass tell nothing yet
  int look_first_left = 0;
  int nr_passes = 0;
  SweepCost total;
  std::vector<AddrRange> swept;   // by each call
  std::vector<AddrRange> wished;  // of the running pass

 private:
  const Clock& clock_;
  std::vector<uint64_t> swept_ns_;
};

class SweepGuideTest : public testing::Test {
 protected:
  // A target of so many pages.
  void describe(uint64_t nr_pages, std::vector<DescribedMemory::Heat> heat) {
    memory_.emplace(nr_pages, clock_);
    memory_->heat = std::move(heat);
    FakeOperations& fake = fake_of(*context_);
    fake.the_sweeper = &*memory_;
    fake.accessed = [this](const Sample& sample) {
      const uint64_t now_ns = clock_.now_ns();
      const uint64_t from_ns = now_ns - context_->attrs.sample_us * 1000;
      const uint64_t leaf = align_down(sample.addr / kPage, memory_->leaf);
      return memory_->accessed(leaf, from_ns, now_ns);
    };
    context_->sweep_bp = 100;
    target_ = &context_->add_target(nullptr);
    target_->add_region(pages(0, nr_pages));
  }
  void run_until(uint64_t ns) {
    if (!loop_) {
      loop_.emplace(*context_, clock_, requests_);
      loop_->start();
    }
    while (clock_.now_ns() < ns) ASSERT_TRUE(loop_->run_once({}));
  }
  // Of pages in regions with so many accesses, how many are accessed, and of accessed ones how many
  // are in such regions.
  struct Score {
    double precision;
    double recall;
  };
  [[nodiscard]] Score score() const { return score_of(1); }
  [[nodiscard]] Score hot_score() const { return score_of(context_->attrs.max_nr_accesses() / 2); }
  [[nodiscard]] Score score_of(uint32_t min_nr_accesses) const {
    uint64_t found = 0;
    uint64_t right = 0;
    uint64_t all = 0;
    for (const auto& heat : memory_->heat) all += heat.last - heat.first;
    for (const Region& region : target_->regions()) {
      if (region.last_nr_accesses < min_nr_accesses) continue;
      const uint64_t first = region.range.start / kPage;
      const uint64_t last = region.range.end / kPage;
      found += last - first;
      for (const auto& heat : memory_->heat) {
        const uint64_t from = std::max(first, heat.first);
        const uint64_t to = std::min(last, heat.last);
        if (from < to) right += to - from;
      }
    }
    return {found == 0 ? 0 : static_cast<double>(right) / static_cast<double>(found),
            static_cast<double>(right) / static_cast<double>(all)};
  }
  // Sixteen spots of 1 MiB in 8 GiB.
  static std::vector<DescribedMemory::Heat> spots(uint64_t period_ns) {
    std::vector<DescribedMemory::Heat> spots;
    for (uint64_t i = 0; i < 16; ++i) {
      const uint64_t first = (i * 512 + 37 * i % 400) * kPagesOfMiB + 11;
      spots.push_back({first, first + kPagesOfMiB, period_ns});
    }
    return spots;
  }

  VirtualClock clock_;
  std::unique_ptr<Context> context_ = fake_context();
  std::optional<DescribedMemory> memory_;
  Target* target_ = nullptr;
  RequestQueue requests_;
  std::optional<KdamondLoop> loop_;
};

TEST_F(SweepGuideTest, FindsSpotsInGiganticMemoryWithinThreeSeconds) {
  describe(8192 * kPagesOfMiB, spots(kMillisecond));
  run_until(3 * kSecond);
  EXPECT_GE(score().precision, 0.95);
  EXPECT_GE(score().recall, 0.95);
  EXPECT_LE(context_->nr_regions(), context_->attrs.max_nr_regions);
}

TEST_F(SweepGuideTest, SamplingAloneDoesNotFindThem) {
  describe(8192 * kPagesOfMiB, spots(kMillisecond));
  context_->sweep_bp = 0;
  run_until(3 * kSecond);
  EXPECT_LT(score().recall, 0.5);
  EXPECT_TRUE(memory_->swept.empty());
}

// Pages that are accessed three times a second are accessed in one sample of 66.
TEST_F(SweepGuideTest, FindsWhatIsAccessedSeldom) {
  describe(256 * kPagesOfMiB, {{100 * kPagesOfMiB, 120 * kPagesOfMiB, kSecond / 3}});
  run_until(10 * kSecond);
  for (int i = 0; i < 20; ++i) {
    run_until(clock_.now_ns() + 700 * kMillisecond);
    EXPECT_GE(score().precision, 0.95) << i;
    EXPECT_GE(score().recall, 0.95) << i;
  }
}

TEST_F(SweepGuideTest, WhatIsAccessedSeldomHasAnAgeAndColdNeighboursHaveTheirs) {
  describe(64 * kPagesOfMiB, {{16 * kPagesOfMiB, 24 * kPagesOfMiB, kSecond}});
  run_until(40 * kSecond);
  for (const Region& region : target_->regions()) {
    const bool hot = region.range.start >= pages(16 * kPagesOfMiB, 0).start &&
                     region.range.end <= pages(0, 24 * kPagesOfMiB).end;
    EXPECT_EQ(region.last_nr_accesses > 0, hot);
    // Samples that see some more or fewer accesses begin a new age, as ever.
    EXPECT_GT(region.age, hot ? 10 : 200);
  }
}

TEST_F(SweepGuideTest, FollowsHotMemoryThatMoves) {
  describe(1024 * kPagesOfMiB, {{100 * kPagesOfMiB, 101 * kPagesOfMiB, kMillisecond}});
  run_until(20 * kSecond);
  ASSERT_GE(score().recall, 0.95);
  memory_->move({{900 * kPagesOfMiB, 901 * kPagesOfMiB, kMillisecond}});
  run_until(32 * kSecond);  // a pass each 5 s
  EXPECT_GE(score().recall, 0.95);
  EXPECT_GE(score().precision, 0.95);
}

// Samples alone, whose intervals have become long, need many of them to find the borders of a part
// that becomes hot in the middle of idle memory, and a pass may be five seconds away.
TEST_F(SweepGuideTest, WhatBecomesHotIsFoundWithinFourSeconds) {
  constexpr uint64_t kHot = 16 * kPagesOfMiB;
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    const uint64_t began_ns = clock_.now_ns();
    loop_.reset();
    context_ = fake_context();
    context_->random = Random(seed);
    context_->attrs.sample_us = 50'000;
    context_->attrs.aggr_us = 1'000'000;
    uint64_t first = 20 * kPagesOfMiB;
    describe(260 * kPagesOfMiB, {{first, first + kHot, kMillisecond}});
    run_until(began_ns + 20 * kSecond + seed * 400 * kMillisecond);
    for (int moves = 0; moves < 4; ++moves) {
      first += kHot;
      memory_->move({{first, first + kHot, kMillisecond}});
      run_until(clock_.now_ns() + 4 * kSecond);
      EXPECT_GE(hot_score().precision, 0.9) << seed << ' ' << moves;
      EXPECT_GE(hot_score().recall, 0.9) << seed << ' ' << moves;
      run_until(clock_.now_ns() + 4 * kSecond);
    }
  }
}

// Nobody has made its pages old for as long as it was hot: what their bits say is of that time.
TEST_F(SweepGuideTest, MemoryThatWasHotIsColdAtOnce) {
  const AddrRange old_place = pages(100 * kPagesOfMiB, 116 * kPagesOfMiB);
  describe(256 * kPagesOfMiB, {{100 * kPagesOfMiB, 116 * kPagesOfMiB, kMillisecond}});
  run_until(20 * kSecond);
  ASSERT_GE(score().recall, 0.95);
  memory_->move({{200 * kPagesOfMiB, 216 * kPagesOfMiB, kMillisecond}});
  for (uint64_t ms = 20300; ms < 40000; ms += 300) {
    run_until(ms * kMillisecond);
    uint64_t found = 0;
    for (const Region& region : target_->regions()) {
      if (region.last_nr_accesses != 0 && region.range.overlaps(old_place))
        found += intersect({&region.range, 1}, {&old_place, 1}).front().size();
    }
    EXPECT_LE(found, old_place.size() / 20) << ms;
  }
}

TEST_F(SweepGuideTest, StaysWithinItsBudget) {
  describe(8192 * kPagesOfMiB,
           {{0, 4096 * kPagesOfMiB, 7 * kSecond}});  // much that is to be made old
  run_until(60 * kSecond);
  // What the start may take, and a hundredth of the time since; one piece may overdraw it.
  EXPECT_LE(memory_->total.cpu_ns, 300 * kMillisecond + 600 * kMillisecond + 60 * kMillisecond);
  EXPECT_GT(memory_->total.cpu_ns, 300 * kMillisecond);
}

TEST_F(SweepGuideTest, HotRegionsAreNotSwept) {
  describe(64 * kPagesOfMiB, {{0, 64 * kPagesOfMiB, kMillisecond}});
  run_until(2 * kSecond);
  const uint64_t old_by_then = memory_->total.pages_made_old;
  run_until(20 * kSecond);
  EXPECT_EQ(memory_->total.pages_made_old, old_by_then);
}

// One bit for 2 MiB: they are few, so samples alone seldom hit the right ones.
TEST_F(SweepGuideTest, HotHugePagesAreFoundAndNotSwept) {
  constexpr uint64_t kHuge = 512;
  describe(16384 * kPagesOfMiB, {{100 * kHuge, 101 * kHuge, kMillisecond},
                                 {1000 * kHuge, 1016 * kHuge, kMillisecond},
                                 {7000 * kHuge, 7002 * kHuge, kMillisecond}});
  memory_->leaf = kHuge;
  run_until(3 * kSecond);
  EXPECT_GE(score().precision, 0.95);
  EXPECT_GE(score().recall, 0.95);
  run_until(5 * kSecond);
  const uint64_t old_by_then = memory_->total.pages_made_old;
  const int passes_by_then = memory_->nr_passes;
  run_until(40 * kSecond);
  const auto passes = static_cast<uint64_t>(memory_->nr_passes - passes_by_then);
  EXPECT_GE(passes, 6);
  // Of the 19 hot ones at most the edges of regions, which are cut at random.
  EXPECT_LE(memory_->total.pages_made_old - old_by_then, 2 * passes);
}

TEST_F(SweepGuideTest, APassSaysBeforehandWhatItWillAskFor) {
  describe(64 * kPagesOfMiB, {{16 * kPagesOfMiB, 24 * kPagesOfMiB, kMillisecond}});
  run_until(400 * kMillisecond);
  EXPECT_EQ(memory_->nr_passes, 1);
  EXPECT_THAT(memory_->wished, testing::ElementsAre(pages(0, 64 * kPagesOfMiB)));
  run_until(20 * kSecond);
  EXPECT_GT(memory_->nr_passes, 5);
  for (const AddrRange& wish : memory_->wished) {
    EXPECT_FALSE(wish.overlaps(pages(17 * kPagesOfMiB, 23 * kPagesOfMiB))) << "hot";
  }
  memory_->swept.clear();
  run_until(30 * kSecond);
  uint64_t asked = 0;
  for (const AddrRange& range : memory_->swept) asked += range.size();
  EXPECT_GT(asked, pages(0, 40 * kPagesOfMiB).size());
}

// Of physical memory all page tables are read before anything can be told.
TEST_F(SweepGuideTest, WaitsForASweeperThatHasToLookAtAllFirst) {
  describe(256 * kPagesOfMiB, {{100 * kPagesOfMiB, 120 * kPagesOfMiB, kSecond / 3}});
  memory_->look_first = 20;
  run_until(12 * kSecond);
  EXPECT_GE(score().precision, 0.95);
  EXPECT_GE(score().recall, 0.95);
}

// One page in sixteen: more borders than regions may be. Sampling alone counts then.
TEST_F(SweepGuideTest, ScatteredAccessesStayWithinTheBoundOfRegions) {
  std::vector<DescribedMemory::Heat> scattered;
  for (uint64_t i = 0; i < 500; ++i) scattered.push_back({i * 16, i * 16 + 1, kSecond / 2});
  describe(8000, scattered);
  context_->attrs.max_nr_regions = 200;
  for (int i = 1; i < 40; ++i) {
    run_until(static_cast<uint64_t>(i) * 500 * kMillisecond);
    EXPECT_LE(context_->nr_regions(), 200);
  }
  uint64_t accessed = 0;
  for (const Region& region : target_->regions()) {
    if (region.swept == SweptState::accessed) accessed += region.range.size();
  }
  EXPECT_LT(accessed, pages(0, 4000).size());
}

// Every other page: most of the memory is accessed, and counts as such as a whole.
TEST_F(SweepGuideTest, DenseAccessesCountAsAWhole) {
  std::vector<DescribedMemory::Heat> dense;
  for (uint64_t i = 0; i < 500; ++i) dense.push_back({i * 2, i * 2 + 1, kSecond / 2});
  describe(8000, dense);
  context_->attrs.max_nr_regions = 100;
  run_until(20 * kSecond);
  EXPECT_LE(context_->nr_regions(), 100);
  EXPECT_GE(score().recall, 0.95);
}

TEST_F(SweepGuideTest, RegionsCoverTheSameMemoryWithoutOverlap) {
  describe(512 * kPagesOfMiB,
           {{3, 5, kMillisecond}, {1000, 2000, kSecond / 3}, {50000, 50001, kSecond}});
  run_until(15 * kSecond);
  EXPECT_THAT(covered_by(*target_), testing::ElementsAre(pages(0, 512 * kPagesOfMiB)));
}

TEST_F(SweepGuideTest, SameSeedSameRegions) {
  const auto once = [] {
    SweepGuideTest_SameSeedSameRegions_Test world;
    world.describe(512 * kPagesOfMiB,
                   {{1000, 2000, kSecond / 3}, {50000, 60000, 20 * kMillisecond}});
    world.run_until(10 * kSecond);
    return known_of(*world.target_);
  };
  EXPECT_EQ(once(), once());
}

// --- What cannot be told is not cold.

TEST_F(SweepGuideTest, SchemesDoNotTakeTheUnknownForCold) {
  describe(64 * kPagesOfMiB, {});
  memory_->unknown_from = 16 * kPagesOfMiB;
  memory_->unknown_to = 32 * kPagesOfMiB;
  SchemeParams params;
  params.pattern = kEverything;
  params.pattern.min_age = 20;
  params.action = Action::pageout;
  context_->add_scheme(params);
  uint64_t acted_on_unknown = 0;
  uint64_t acted_on_cold = 0;
  fake_of(*context_).on_apply = [&](const Scheme& scheme, Application& piece) {
    if (scheme.params.action != Action::pageout) return;
    const bool unknown = piece.region->range.overlaps(pages(16 * kPagesOfMiB, 32 * kPagesOfMiB));
    (unknown ? acted_on_unknown : acted_on_cold) += piece.region->range.size();
  };
  run_until(10 * kSecond);
  EXPECT_EQ(acted_on_unknown, 0);
  EXPECT_GT(acted_on_cold, pages(0, 40 * kPagesOfMiB).size());
}

TEST_F(SweepGuideTest, StatSchemesSeeTheUnknown) {
  describe(64 * kPagesOfMiB, {});
  memory_->unknown_to = 64 * kPagesOfMiB;
  SchemeParams params;
  params.pattern = kEverything;
  Scheme& stat = context_->add_scheme(params);
  run_until(10 * kSecond);
  const uint64_t before = stat.stat.sz_tried;
  run_until(10 * kSecond + 100 * kMillisecond);
  EXPECT_EQ(stat.stat.sz_tried - before, pages(0, 64 * kPagesOfMiB).size());
}

// --- Switching it on and off, and targets that change

TEST_F(SweepGuideTest, SwitchedOffNoMarkStays) {
  describe(64 * kPagesOfMiB, {{0, 8 * kPagesOfMiB, kSecond}});
  run_until(10 * kSecond);
  context_->sweep_bp = 0;
  run_until(11 * kSecond);
  for (const Region& region : target_->regions()) EXPECT_EQ(region.swept, SweptState::never);
  const size_t swept = memory_->swept.size();
  run_until(20 * kSecond);
  EXPECT_EQ(memory_->swept.size(), swept);
  context_->sweep_bp = 100;
  run_until(30 * kSecond);
  EXPECT_GE(score().recall, 0.95);
}

TEST_F(SweepGuideTest, ATargetThatCannotBeSweptIsSampledAsEver) {
  describe(64 * kPagesOfMiB, {{0, 32 * kPagesOfMiB, kMillisecond}});
  memory_->refuse = EPERM;
  run_until(10 * kSecond);
  EXPECT_GE(score().recall, 0.9);
  for (const Region& region : target_->regions()) EXPECT_EQ(region.swept, SweptState::never);
}

TEST_F(SweepGuideTest, WhatWasFoundOfAnotherProcessIsForgotten) {
  describe(64 * kPagesOfMiB, {{0, 8 * kPagesOfMiB, kSecond}});
  target_->handle = fake_handle(1);
  run_until(10 * kSecond);
  const auto wanted = fake_context();
  wanted->add_target(fake_handle(2)).add_region(pages(0, 64 * kPagesOfMiB));
  wanted->sweep_bp = 100;
  ASSERT_TRUE(commit_context(*context_, *wanted));
  for (const Region& region : target_->regions()) EXPECT_EQ(region.swept, SweptState::never);
  EXPECT_EQ(target_->sweeps.nr_passes, 0);
  EXPECT_TRUE(target_->sweeps.last_pass.empty());
}

TEST_F(SweepGuideTest, ACommitChangesTheBudget) {
  describe(kPagesOfMiB, {});
  const auto wanted = fake_context();
  wanted->add_target(nullptr);
  wanted->sweep_bp = 250;
  ASSERT_TRUE(commit_context(*context_, *wanted));
  EXPECT_EQ(context_->sweep_bp, 250);
}

}  // namespace
}  // namespace damonfs
