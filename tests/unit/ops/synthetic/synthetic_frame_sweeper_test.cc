#include "ops/synthetic/synthetic_frame_sweeper.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "core/context.h"
#include "core/kdamond_loop.h"
#include "ops/synthetic/synthetic_paddr.h"
#include "tests/unit/core/virtual_clock.h"
#include "tests/unit/units.h"

namespace damonfs {
namespace {

using Runs = std::vector<SweptRun>;

// A pattern's physical memory in virtual time, swept by hand or watched by a kdamond.
class SweptMachine {
 public:
  explicit SweptMachine(const std::string& text)
      : pattern_(std::make_shared<const Pattern>(*parse_pattern(text))),
        context_(OpsId::paddr, std::make_unique<SyntheticPaddr>(pattern_, clock_), 1),
        target_(&context_.add_target(nullptr)) {}

  void pass_ms(uint64_t ms) { clock_.advance_ns(ms * 1000000); }
  Runs sweep(AddrRange range) {
    Runs runs;
    cost = {};
    nr_pieces = 0;
    while (range.start < range.end) {
      const auto piece =
          context_.operations->sweeper()->sweep(*target_, range, SweepMode::make_old, runs);
      EXPECT_GT(piece->next, range.start);
      range.start = piece->next;
      cost += piece->cost;
      ++nr_pieces;
    }
    return runs;
  }

  // Watches `memory` by regions in units of address until so many seconds have passed.
  void watch(AddrRange memory, uint64_t sweep_bp, uint64_t seconds, uint64_t unit = 1) {
    context_.sweep_bp = sweep_bp;
    context_.addr_unit = unit;
    context_.min_region_sz = std::max<uint64_t>(kPageSize / unit, 1);
    target_->add_region({memory.start / unit, memory.end / unit});
    RequestQueue requests;
    KdamondLoop loop(context_, clock_, requests);
    loop.start();
    const uint64_t end_ns = clock_.now_ns() + seconds * kSecond;
    while (clock_.now_ns() < end_ns) ASSERT_TRUE(loop.run_once({}));
  }
  // [start, end, accesses, age] of regions, in units of address.
  [[nodiscard]] std::vector<std::tuple<uint64_t, uint64_t, uint32_t, uint32_t>> regions() const {
    std::vector<std::tuple<uint64_t, uint64_t, uint32_t, uint32_t>> known;
    for (const Region& region : target_->regions()) {
      known.emplace_back(region.range.start, region.range.end, region.last_nr_accesses, region.age);
    }
    return known;
  }
  // Bytes of regions with accesses, and of these in `hot`, both in MiB.
  [[nodiscard]] std::pair<double, double> found(std::span<const AddrRange> hot) const {
    uint64_t all = 0;
    uint64_t right = 0;
    for (const auto& [start, end, accesses, age] : regions()) {
      if (accesses == 0) continue;
      const AddrRange bytes{start * context_.addr_unit, end * context_.addr_unit};
      all += bytes.size();
      for (const AddrRange& part : hot) {
        if (part.overlaps(bytes)) {
          right += std::min(part.end, bytes.end) - std::max(part.start, bytes.start);
        }
      }
    }
    return {static_cast<double>(all) / kMiB, static_cast<double>(right) / kMiB};
  }

  SweepCost cost;
  size_t nr_pieces = 0;

 private:
  VirtualClock clock_;
  std::shared_ptr<const Pattern> pattern_;
  Context context_;
  Target* target_;
};

// Physical memory: process 1 from 4 GiB on, process 2 4 MiB above.
constexpr const char* kTwoProcesses =
    "process 1\nmap a 0x10000 3M\nphase 1h\naccess a 1M 2M always\n"
    "process 2\nmap a 0x20000000 4M huge 2M\nphase 1h\naccess a 2M 2M always\n";

TEST(SyntheticFrameSweeperTest, SaysOfFramesWhatTheirOwnersDoToThem) {
  SweptMachine machine(kTwoProcesses);
  machine.pass_ms(100);
  const uint64_t base = 4 * kGiB;
  const Runs expected{{{base, base + kMiB}, AccessState::not_accessed},
                      {{base + kMiB, base + 3 * kMiB}, AccessState::accessed},
                      {{base + 4 * kMiB, base + 6 * kMiB}, AccessState::not_accessed},
                      {{base + 6 * kMiB, base + 8 * kMiB}, AccessState::accessed}};
  EXPECT_EQ(machine.sweep({0, 16 * kGiB}), expected);
  EXPECT_EQ(machine.cost.pages_read, 3 * 256 + 2);
  EXPECT_EQ(machine.cost.pages_made_old, 2 * 256 + 1);
  const Runs now{{{base, base + 3 * kMiB}, AccessState::not_accessed},
                 {{base + 4 * kMiB, base + 8 * kMiB}, AccessState::not_accessed}};
  EXPECT_EQ(machine.sweep({0, 16 * kGiB}), now) << "no time has passed since";
  machine.pass_ms(100);
  const Runs part{{{base + 2 * kMiB, base + 3 * kMiB}, AccessState::accessed},
                  {{base + 4 * kMiB, base + 6 * kMiB}, AccessState::not_accessed}};
  EXPECT_EQ(machine.sweep({base + 2 * kMiB, base + 5 * kMiB}), part);
}

TEST(SyntheticFrameSweeperTest, APieceIsAboutAMillisecond) {
  SweptMachine machine(
      "process 1\nmap a 0x10000 4G\nmap b 1T 4G\nmap c 2T 4G\nphase 1h\n"
      "access a always\naccess b always\naccess c always\n");
  machine.pass_ms(100);
  EXPECT_EQ(machine.sweep({0, 16 * kGiB}).size(), 1U);
  EXPECT_EQ(machine.nr_pieces, 3U);
}

constexpr const char* kSpots =
    "process 1\nmap a 1T 16G\nphase 1h\naccess a 1G 1M always\naccess a 9G 1M 2/s\n"
    "process 2\nmap a 1T 16G huge 2M\nphase 1h\naccess a 5G 2M always\n";
constexpr AddrRange kPhysical{4 * kGiB, 36 * kGiB};
constexpr AddrRange kHotFrames[] = {
    {5 * kGiB, 5 * kGiB + kMiB}, {13 * kGiB, 13 * kGiB + kMiB}, {25 * kGiB, 25 * kGiB + 2 * kMiB}};

TEST(SyntheticFrameSweeperTest, AKdamondFindsSpotsInPhysicalMemory) {
  for (const uint64_t unit : {1, 1024}) {
    SweptMachine machine(kSpots);
    machine.watch(kPhysical, 100, 20, unit);
    const auto [all, right] = machine.found(kHotFrames);
    EXPECT_GE(right, 3.8);
    EXPECT_LE(all, 4.5);
  }
}

TEST(SyntheticFrameSweeperTest, SamplingAloneDoesNotFindThem) {
  SweptMachine machine(kSpots);
  machine.watch(kPhysical, 0, 20);
  EXPECT_LT(machine.found(kHotFrames).second, 2);
}

TEST(SyntheticFrameSweeperTest, SameSeedSameRegions) {
  const auto once = [] {
    SweptMachine machine(std::string("seed 7\n") + kSpots);
    machine.watch(kPhysical, 100, 8);
    return machine.regions();
  };
  EXPECT_EQ(once(), once());
}

}  // namespace
}  // namespace damonfs
