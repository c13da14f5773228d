// The whole loop, over long virtual times.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <vector>

#include "core/kdamond_loop.h"
#include "tests/unit/core/fake_operations.h"
#include "tests/unit/core/virtual_clock.h"

namespace damonfs {
namespace {

using testing::ElementsAre;

struct Snapshot {
  std::vector<Known> regions;
  std::vector<uint32_t> last;
  friend bool operator==(const Snapshot&, const Snapshot&) = default;
};

// A third of memory is hot, with noise in time.
Snapshot simulate(uint64_t seed) {
  const auto context = fake_context(seed);
  Target& target = context->add_target(nullptr);
  target.add_region(pages(0, 30000));
  VirtualClock clock;
  fake_of(*context).accessed = [&](const Sample& sample) {
    const uint64_t page = sample.addr / kPage;
    return page >= 10000 && page < 20000 && (clock.now_ns() / 5000000 + page) % 3 != 0;
  };
  RequestQueue requests;
  KdamondLoop loop(*context, clock, requests);
  loop.start();
  for (int interval = 0; interval < 2000; ++interval) EXPECT_TRUE(loop.run_once({}));
  Snapshot snapshot{known_of(target), {}};
  for (const Region& region : target.regions()) snapshot.last.push_back(region.last_nr_accesses);
  return snapshot;
}

TEST(Simulation, SameSeedSameResult) { EXPECT_EQ(simulate(7), simulate(7)); }

TEST(Simulation, DifferentSeedDifferentResult) { EXPECT_NE(simulate(7), simulate(8)); }

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr uint64_t kSimulatedSeconds = 60;
#else
constexpr uint64_t kSimulatedSeconds = 3600;
#endif

// An hour, sampled every 5 ms, at about 100 regions, of which two ranges are hot.
TEST(Simulation, AnHourFindsTheHotRanges) {
  const auto context = fake_context();
  context->attrs.min_nr_regions = 60;
  context->attrs.max_nr_regions = 102;
  Target& target = context->add_target(nullptr);
  target.add_region(pages(0, 1 << 18));
  const std::vector<AddrRange> hot{pages(50000, 60000), pages(200000, 220000)};
  fake_of(*context).accessed = [&](const Sample& sample) {
    return (sample.addr >= hot[0].start && sample.addr < hot[0].end) ||
           (sample.addr >= hot[1].start && sample.addr < hot[1].end);
  };
  VirtualClock clock;
  RequestQueue requests;
  KdamondLoop loop(*context, clock, requests);
  const auto began = std::chrono::steady_clock::now();
  loop.start();
  uint64_t nr_samples = 0;
  while (clock.now_ns() < kSimulatedSeconds * 1000000000) {
    ASSERT_TRUE(loop.run_once({}));
    nr_samples += context->nr_regions();
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  std::cout << kSimulatedSeconds << " virtual seconds at " << nr_samples / context->schedule.passed
            << " regions took " << took.count() << " s\n";
  EXPECT_EQ(context->schedule.passed, kSimulatedSeconds * 200);
  EXPECT_THAT(covered_by(target), ElementsAre(pages(0, 1 << 18)));
  uint64_t found = 0;
  uint64_t wrong = 0;
  for (const Region& region : target.regions()) {
    if (region.last_nr_accesses < 10) continue;
    uint64_t inside = 0;
    for (const AddrRange& range : hot) {
      if (!region.range.overlaps(range)) continue;
      inside += std::min(region.range.end, range.end) - std::max(region.range.start, range.start);
    }
    found += inside;
    wrong += region.range.size() - inside;
  }
  EXPECT_GT(found, 30000 * kPage * 9 / 10);
  EXPECT_LT(wrong, 30000 * kPage / 10);
}

}  // namespace
}  // namespace damonfs
