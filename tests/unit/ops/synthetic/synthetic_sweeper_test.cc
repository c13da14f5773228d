#include "ops/synthetic/synthetic_sweeper.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "core/context.h"
#include "ops/synthetic/synthetic_vaddr.h"
#include "tests/unit/core/virtual_clock.h"

namespace damonfs {
namespace {

using Runs = std::vector<SweptRun>;

constexpr uint64_t kMiB = 1 << 20;
constexpr AddrRange kEverything{0, uint64_t{1} << 47};

// One process of a pattern, swept in virtual time.
class Played {
 public:
  explicit Played(const std::string& text)
      : pattern_(std::make_shared<const Pattern>(*parse_pattern(text))),
        context_(OpsId::vaddr, nullptr, 1),
        operations_(OpsId::vaddr, pattern_, clock_),
        target_(&context_.add_target(*SyntheticProcess::open(1, pattern_))) {}

  void pass_ms(uint64_t ms) { clock_.advance_ns(ms * 1000000); }
  Runs sweep(AddrRange range = kEverything, SweepMode mode = SweepMode::make_old) {
    Runs runs;
    nr_pieces = 0;
    cost = {};
    while (range.start < range.end) {
      const auto piece = operations_.sweeper()->sweep(*target_, range, mode, runs);
      EXPECT_GT(piece->next, range.start);
      range.start = piece->next;
      cost += piece->cost;
      ++nr_pieces;
    }
    return runs;
  }
  uint64_t accessed(AddrRange range = kEverything, SweepMode mode = SweepMode::make_old) {
    uint64_t bytes = 0;
    for (const SweptRun& run : sweep(range, mode))
      if (run.state == AccessState::accessed) bytes += run.range.size();
    return bytes;
  }

  std::vector<AddrRange> populated() { return *operations_.sweeper()->populated(*target_); }

  size_t nr_pieces = 0;
  SweepCost cost;

 private:
  std::shared_ptr<const Pattern> pattern_;
  VirtualClock clock_;
  Context context_;
  SyntheticVaddr operations_;
  const Target* target_;
};

TEST(SyntheticSweeperTest, TellsNothingOfUnknownMemory) {
  Played played("process 1\n map a 16M 8M\n map b 1G 4M unknown\nphase 1h\n access b always\n");
  played.pass_ms(100);
  const Runs expected{{{16 * kMiB, 24 * kMiB}, AccessState::not_accessed},
                      {{1024 * kMiB, 1028 * kMiB}, AccessState::unknown}};
  EXPECT_EQ(played.sweep(), expected);
  EXPECT_EQ(played.cost.pages_made_old, 0);
}

TEST(SyntheticSweeperTest, PopulatedIsWhatIsMapped) {
  Played played("process 1\n map a 16M 4K\n map b 1G 4M\nphase 1h\n access b always\n");
  const std::vector<AddrRange> expected{{16 * kMiB, 18 * kMiB}, {1024 * kMiB, 1028 * kMiB}};
  EXPECT_EQ(played.populated(), expected);
}

TEST(SyntheticSweeperTest, TellsWhatIsAlwaysAndWhatIsNeverAccessed) {
  Played played("process 1\n map a 16M 8M\n map b 1G 4M\nphase 1h\n access a 2M 1M always\n");
  played.pass_ms(100);
  const Runs expected{{{16 * kMiB, 18 * kMiB}, AccessState::not_accessed},
                      {{18 * kMiB, 19 * kMiB}, AccessState::accessed},
                      {{19 * kMiB, 24 * kMiB}, AccessState::not_accessed},
                      {{1024 * kMiB, 1028 * kMiB}, AccessState::not_accessed}};
  EXPECT_EQ(played.sweep(), expected);
  EXPECT_EQ(played.cost.pages_read, 12 * kMiB / 4096);
  EXPECT_EQ(played.cost.pages_made_old, kMiB / 4096);
  EXPECT_EQ(played.cost.cpu_ns, 2 * played.cost.pages_read + 100 * played.cost.pages_made_old);
  EXPECT_EQ(played.accessed(), 0U) << "no time has passed since";
}

TEST(SyntheticSweeperTest, AnEternityOfNothingCostsNoWorkByThePage) {
  Played played("process 1\n map a 4G 1T\nphase 1h\n access a 8G 64M always\n");
  played.pass_ms(10);
  EXPECT_EQ(played.accessed(), 64 * kMiB);
  EXPECT_EQ(played.nr_pieces, 1U);
}

TEST(SyntheticSweeperTest, RareAccessesAddUpSinceTheLastSweep) {
  Played played("process 1\n map a 1G 256M\nphase 1h\n access a 1/s\n");
  played.accessed();
  for (const uint64_t ms : {500, 2000}) {
    played.pass_ms(ms);
    const double expected = 256e6 * 1.048576 * (1 - std::exp(-static_cast<double>(ms) / 1000));
    EXPECT_NEAR(static_cast<double>(played.accessed()), expected, expected / 50);
  }
  EXPECT_GT(played.nr_pieces, 0U);
}

TEST(SyntheticSweeperTest, EachPartHasItsOwnTime) {
  Played played("process 1\n map a 1G 64M\nphase 1h\n access a 1/s\n");
  played.accessed();
  played.pass_ms(10000);
  const AddrRange half{1024 * kMiB, 1056 * kMiB};
  EXPECT_GT(played.accessed(half), 31 * kMiB);
  EXPECT_EQ(played.accessed(half), 0U);
  EXPECT_GT(played.accessed(kEverything, SweepMode::look), 31 * kMiB);
  EXPECT_GT(played.accessed(), 31 * kMiB) << "the other half, which was only looked at";
  EXPECT_EQ(played.accessed(), 0U);
}

TEST(SyntheticSweeperTest, IsTheSameEachTime) {
  const std::string text = "seed 7\nprocess 1\n map a 1G 256M\nphase 1h\n access a 1/s\n";
  Played one(text);
  Played other(text);
  for (int round = 0; round < 3; ++round) {
    one.pass_ms(300);
    other.pass_ms(300);
    EXPECT_EQ(one.sweep(), other.sweep());
  }
}

TEST(SyntheticSweeperTest, AHugeLeafBelongsToWhereItBegins) {
  Played played("process 1\n map a 1G 8M huge 2M\nphase 1h\n access a always\n");
  played.pass_ms(100);
  const Runs expected{{{1026 * kMiB, 1028 * kMiB}, AccessState::accessed}};
  EXPECT_EQ(played.sweep({1025 * kMiB, 1027 * kMiB}), expected);
  EXPECT_EQ(played.cost.pages_read, 1U);
  EXPECT_EQ(played.accessed(), 6 * kMiB);
}

}  // namespace
}  // namespace damonfs
