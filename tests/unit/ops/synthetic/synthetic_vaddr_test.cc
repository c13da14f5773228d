#include "ops/synthetic/synthetic_vaddr.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "core/base/page_size.h"
#include "core/context.h"
#include "core/kdamond_loop.h"
#include "ops/base/steady_clock.h"
#include "tests/unit/core/virtual_clock.h"
#include "tests/unit/units.h"

namespace damonfs {
namespace {

using testing::ElementsAre;

// One process of a pattern, watched in virtual time by hand.
class Watched {
 public:
  explicit Watched(const std::string& text, OpsId id = OpsId::vaddr, pid_t pid = 1)
      : pattern_(std::make_shared<const Pattern>(*parse_pattern(text))),
        context_(id, nullptr, 1),
        operations_(id, pattern_, clock_) {
    target_ = &context_.add_target(*SyntheticProcess::open(pid, pattern_));
  }

  // What is seen of `addrs` in the next interval of `us`.
  std::vector<Sample> watch(const std::vector<uint64_t>& addrs, uint64_t us = 5000) {
    std::vector<Sample> samples;
    samples.reserve(addrs.size());
    for (const uint64_t addr : addrs) {
      samples.push_back({.target = target_, .addr = addr, .leaf_sz = 99, .accessed = true});
    }
    operations_.prepare(samples);
    clock_.advance_ns(us * 1000);
    operations_.check(samples);
    return samples;
  }
  // Which probes hit the pages at `addrs` in the next interval.
  std::vector<int> probe(const std::vector<Probe>& probes, const std::vector<uint64_t>& addrs,
                         bool accesses = true) {
    std::vector<Sample> samples;
    for (const uint64_t addr : addrs) samples.push_back({.target = target_, .addr = addr});
    if (accesses) operations_.prepare(samples);
    operations_.prepare_probes(probes, samples, accesses);
    clock_.advance_ns(5000000);
    if (accesses) operations_.check(samples);
    operations_.apply_probes(probes, samples, accesses);
    std::vector<int> hit;
    for (const Sample& sample : samples) hit.push_back(sample.probes_hit);
    return hit;
  }
  // The share of `intervals` in which the page at `addr` is accessed.
  double share(uint64_t addr, int intervals, uint64_t us = 5000) {
    int accessed = 0;
    for (int i = 0; i < intervals; ++i) accessed += watch({addr}, us)[0].accessed ? 1 : 0;
    return static_cast<double>(accessed) / intervals;
  }
  bool accessed(uint64_t addr) { return watch({addr})[0].accessed; }
  [[nodiscard]] std::vector<AddrRange> ranges() const {
    std::vector<AddrRange> found;
    for (const Region& region : target_->regions()) found.push_back(region.range);
    return found;
  }

  Context& context() { return context_; }
  SyntheticVaddr& operations() { return operations_; }
  Target& target() { return *target_; }
  VirtualClock& clock() { return clock_; }

 private:
  VirtualClock clock_;
  std::shared_ptr<const Pattern> pattern_;
  Context context_;
  SyntheticVaddr operations_;
  Target* target_;
};

TEST(SyntheticProcessTest, IsFoundByItsNumber) {
  const auto pattern =
      std::make_shared<const Pattern>(*parse_pattern("process 7\nphase 1s\nprocess 8\nphase 1s\n"));
  const auto seven = SyntheticProcess::open(7, pattern);
  ASSERT_TRUE(seven);
  EXPECT_EQ(7, (*seven)->pid());
  EXPECT_TRUE((*seven)->same_as(**SyntheticProcess::open(7, pattern)));
  EXPECT_FALSE((*seven)->same_as(**SyntheticProcess::open(8, pattern)));
  for (const pid_t pid : {9, 0, -1}) {
    const auto none = SyntheticProcess::open(pid, pattern);
    ASSERT_FALSE(none);
    EXPECT_EQ(ESRCH, none.error().code);
  }
  const auto any = std::make_shared<const Pattern>(*parse_pattern("process *\nphase 1s\n"));
  ASSERT_TRUE(SyntheticProcess::open(9, any));
  EXPECT_FALSE(SyntheticProcess::open(0, any));
  EXPECT_FALSE((*SyntheticProcess::open(9, any))->same_as(**SyntheticProcess::open(10, any)));
  EXPECT_FALSE((*seven)->same_as(**SyntheticProcess::open(9, any)));
}

TEST(SyntheticTest, AlwaysNeverAndNotThere) {
  Watched watched(
      "process 1\nmap a 1M 16K\nmap b 2M 4M huge 2M\nphase 1s\n"
      "access a 4K 8K always\naccess b 0 4K always\n");
  const uint64_t a = 1 << 20;
  const uint64_t b = 2 << 20;
  const auto samples = watched.watch({a - 1, a, a + kPageSize - 1, a + kPageSize,
                                      a + 3 * kPageSize - 1, a + 3 * kPageSize, a + 4 * kPageSize,
                                      b, b + (2 << 20) - 1, b + (2 << 20), b + (4 << 20)});
  const bool accessed[] = {false, false, false, true, true, false, false, true, true, false, false};
  const uint64_t leaf[] = {0, kPageSize, kPageSize, kPageSize, kPageSize, kPageSize,
                           0, 2 << 20,   2 << 20,   2 << 20,   0};
  for (size_t i = 0; i < samples.size(); ++i) {
    EXPECT_EQ(accessed[i], samples[i].accessed) << i;
    EXPECT_EQ(leaf[i], samples[i].leaf_sz) << i;
  }
}

TEST(SyntheticTest, RatesGiveTheirProbability) {
  constexpr int kIntervals = 20000;
  const auto near = [](double p) {
    return testing::DoubleNear(p, 5 * std::sqrt(p * (1 - p) / kIntervals));
  };
  Watched watched(
      "process 1\nmap m 0 1M\nmap h 2M 2M huge 2M\nphase 10h\n"
      "access m 0 4K 100/s\naccess m 4K 4K 10%\naccess m 8K 4K 100/s\naccess m 8K 8K 10%\n"
      "access h 0 40K 10/s\n");
  EXPECT_THAT(watched.share(0, kIntervals), near(1 - std::exp(-0.5)));
  EXPECT_THAT(watched.share(0, kIntervals, 1000), near(1 - std::exp(-0.1)));
  EXPECT_THAT(watched.share(kPageSize, kIntervals), near(0.1));
  EXPECT_THAT(watched.share(kPageSize, kIntervals, 100000), near(0.1)) << "whatever the interval";
  EXPECT_THAT(watched.share(2 * kPageSize, kIntervals), near(1 - 0.9 * std::exp(-0.5)))
      << "parts add up";
  EXPECT_THAT(watched.share((2 << 20) + 50 * kPageSize, kIntervals), near(1 - std::exp(-0.5)))
      << "any of ten pages";
}

TEST(SyntheticTest, PagesAndIntervalsAreIndependent) {
  constexpr int kIntervals = 20000;
  Watched watched("process 1\nmap m 0 8K\nphase 10h\naccess m 50%\n");
  int both = 0;
  int again = 0;
  bool last = false;
  for (int i = 0; i < kIntervals; ++i) {
    const auto samples = watched.watch({0, kPageSize});
    if (samples[0].accessed && samples[1].accessed) ++both;
    if (samples[0].accessed && last) ++again;
    last = samples[0].accessed;
  }
  EXPECT_NEAR(0.25, static_cast<double>(both) / kIntervals, 0.02);
  EXPECT_NEAR(0.25, static_cast<double>(again) / kIntervals, 0.02);
}

TEST(SyntheticTest, AnswersDoNotDependOnWhatElseIsAsked) {
  const std::string text = "seed 5\nprocess 1\nmap m 0 1G\nphase 10h\naccess m 30%\n";
  Watched alone(text);
  Watched among(text);
  Watched other("seed 6\n" + text.substr(7));
  int different = 0;
  for (int i = 0; i < 500; ++i) {
    const bool accessed = alone.accessed(7 * kPageSize);
    const auto samples =
        among.watch({8 * kPageSize, 7 * kPageSize + 5, 7 * kPageSize, 9 * kPageSize});
    EXPECT_EQ(accessed, samples[1].accessed);
    EXPECT_EQ(accessed, samples[2].accessed);
    if (accessed != other.accessed(7 * kPageSize)) ++different;
  }
  EXPECT_LT(100, different);
}

TEST(SyntheticTest, PhasesFollowEachOther) {
  Watched watched(
      "process 1\nmap m 0 8K\nphase 10ms\naccess m 0 4K always\n"
      "phase 10ms\naccess m 4K 4K always\nphase 10ms\n");
  std::string first;
  std::string second;
  for (int i = 0; i < 8; ++i) {
    const auto samples = watched.watch({0, kPageSize});
    first += samples[0].accessed ? '#' : '.';
    second += samples[1].accessed ? '#' : '.';
  }
  EXPECT_EQ("##......", first);
  EXPECT_EQ("..##....", second);
}

TEST(SyntheticTest, IntervalOverPhasesCountsEachForItsPart) {
  constexpr int kIntervals = 20000;
  // 10 ms of accesses in each 20 ms.
  Watched watched("process 1\nmap m 0 4K\nphase 10ms\naccess m 100/s\nphase 10ms\nend loop\n");
  const double p = 1 - std::exp(-1);
  EXPECT_NEAR(p, watched.share(0, kIntervals, 20000), 0.02);
  EXPECT_NEAR(1 - std::exp(-100), watched.share(0, 100, 2000000), 0.001) << "100 loops at once";
}

TEST(SyntheticTest, EndsInOneOfThreeWays) {
  const std::string text = "process 1\nmap m 0 4K\nphase 10ms\nphase 10ms\naccess m always\n";
  const auto seen = [&](const std::string& end) {
    Watched watched(text + end);
    std::string shown;
    for (int i = 0; i < 10; ++i) {
      if (!watched.operations().target_valid(watched.target())) break;
      shown += watched.accessed(0) ? '#' : '.';
    }
    return shown;
  };
  EXPECT_EQ("..########", seen("end hold\n"));
  EXPECT_EQ("..##..##..", seen("end loop\n"));
  // In the last interval the process goes: no page is left to be seen accessed.
  EXPECT_EQ("..#.", seen("end exit\n"));
}

TEST(SyntheticTest, ProcessThatExitedHasNothing) {
  Watched watched("process 1\nmap m 0 4K\nphase 10ms\naccess m always\nend exit\n");
  watched.clock().advance_ns(20000000);
  const auto samples = watched.watch({0});
  EXPECT_FALSE(samples[0].accessed);
  EXPECT_EQ(0U, samples[0].leaf_sz);
}

TEST(SyntheticTest, MappingsComeAndGo) {
  Watched watched(
      "process 1\nmap a 1M 4K\nmap b 2M 4K\nmap c 4M 4K\nmap d 8M 4K\n"
      "phase 1s\nabsent d\naccess d always\nphase 1s\nabsent a\naccess d always\n");
  watched.operations().init(watched.context());
  EXPECT_THAT(watched.ranges(), ElementsAre(AddrRange{1 << 20, (1 << 20) + kPageSize},
                                            AddrRange{2 << 20, (2 << 20) + kPageSize},
                                            AddrRange{4 << 20, (4 << 20) + kPageSize}));
  EXPECT_EQ(0U, watched.watch({8 << 20})[0].leaf_sz);
  EXPECT_FALSE(watched.accessed(8 << 20));
  watched.clock().advance_ns(kSecond);
  watched.operations().update(watched.context());
  EXPECT_THAT(watched.ranges(), ElementsAre(AddrRange{2 << 20, (2 << 20) + kPageSize},
                                            AddrRange{4 << 20, (4 << 20) + kPageSize},
                                            AddrRange{8 << 20, (8 << 20) + kPageSize}));
  EXPECT_TRUE(watched.accessed(8 << 20));
  EXPECT_EQ(0U, watched.watch({1 << 20})[0].leaf_sz);
}

TEST(SyntheticTest, FixedRegionsAndTooFewMappings) {
  Watched fixed("process 1\nmap a 1M 4K\nmap b 2M 4K\nmap c 4M 4K\nphase 1s\n", OpsId::fvaddr);
  fixed.operations().init(fixed.context());
  fixed.operations().update(fixed.context());
  EXPECT_TRUE(fixed.ranges().empty());
  Watched few("process 1\nmap a 1M 4K\nphase 1s\n");
  few.operations().init(few.context());
  EXPECT_TRUE(few.ranges().empty());
}

TEST(SyntheticTest, TimeStartsWithInit) {
  Watched watched("process 1\nmap m 0 4K\nphase 10ms\naccess m always\nphase 10ms\nend exit\n");
  watched.clock().advance_ns(kSecond);
  EXPECT_FALSE(watched.operations().target_valid(watched.target()));
  watched.operations().init(watched.context());
  EXPECT_TRUE(watched.operations().target_valid(watched.target()));
  EXPECT_TRUE(watched.accessed(0));
}

TEST(SyntheticTest, IntervalOfNoTime) {
  Watched watched(
      "process 1\nmap m 0 12K\nphase 1s\naccess m 0 4K always\naccess m 4K 4K 100%\n"
      "access m 8K 4K 1000000/s\n");
  const auto samples = watched.watch({0, kPageSize, 2 * kPageSize}, 0);
  EXPECT_TRUE(samples[0].accessed);
  EXPECT_TRUE(samples[1].accessed);
  EXPECT_FALSE(samples[2].accessed);
}

TEST(SyntheticTest, SizeDoesNotMatter) {
  // The quickest of several runs, as others may run in between.
  const auto time = [](const std::string& size) {
    auto min = std::chrono::nanoseconds::max();
    for (int run = 0; run < 10; ++run) {
      Watched watched("process 1\nmap m 0 " + size + "\nphase 10h\naccess m 100/s\n");
      const auto before = std::chrono::steady_clock::now();
      for (uint64_t page = 0; page < 1000; ++page) watched.accessed(page * kPageSize);
      min = std::min<std::chrono::nanoseconds>(min, std::chrono::steady_clock::now() - before);
    }
    return min;
  };
  EXPECT_LT(time("1T"), 20 * time("1G"));
}

// A whole kdamond, five minutes in virtual time.
TEST(SyntheticTest, KdamondFindsTheHotPart) {
  const auto pattern = std::make_shared<const Pattern>(*parse_pattern(R"(
      clock virtual
      process *
      map heap 0x10000000 64M
      map lib 0x7f0000000000 1M
      map stack 0x7ff000000000 128K
      phase 5min
      access heap 16M 8M 1000/s
      end exit
  )"));
  PatternClock clock;
  auto context = std::make_unique<Context>(
      OpsId::vaddr, std::make_unique<SyntheticVaddr>(OpsId::vaddr, pattern, clock, &clock), 1);
  const AddrRange hot{0x10000000 + (16 << 20), 0x10000000 + (24 << 20)};
  Target& target = context->add_target(*SyntheticProcess::open(42, pattern));
  RequestQueue requests;
  KdamondLoop loop(*context, clock, requests);
  loop.start();
  const auto before = std::chrono::steady_clock::now();
  uint64_t rounds = 0;
  uint64_t good = 0;
  uint64_t looks = 0;
  const std::stop_token never;
  while (loop.run_once(never)) {
    if (++rounds % 20 != 0 || rounds < 5000) continue;
    ++looks;
    uint64_t inside = 0;
    uint64_t outside = 0;
    for (const Region& region : target.regions()) {
      if (region.last_nr_accesses < 10) continue;
      const uint64_t start = std::max(region.range.start, hot.start);
      const uint64_t end = std::min(region.range.end, hot.end);
      const uint64_t in = start < end ? end - start : 0;
      inside += in;
      outside += region.range.size() - in;
    }
    if (inside > hot.size() * 3 / 4 && outside < hot.size() / 2) ++good;
  }
  EXPECT_NEAR(60000, static_cast<double>(rounds), 2) << "of 5 ms";
  EXPECT_LT(looks * 8 / 10, good);
  EXPECT_GT(std::chrono::minutes(5), std::chrono::steady_clock::now() - before);
}

Probe asking(ProbeFilterType type) {
  Probe probe;
  probe.filters = {{.type = type, .matching = true, .allow = true, .path = {}}};
  return probe;
}

TEST(SyntheticProbesTest, AnswerAsThePatternSays) {
  Watched watched(
      "process 1\nmap a 0x10000 8K\nmap f 0x20000 8K file\nmap h 0x400000 2M huge 2M\n"
      "phase 1s\naccess a 0 4K always\n");
  watched.operations().init(watched.context());
  const std::vector<uint64_t> addrs = {0x10123, 0x11123, 0x20123, 0x30000, 0x400123};
  EXPECT_THAT(watched.probe({asking(ProbeFilterType::anon)}, addrs), ElementsAre(1, 1, 0, 0, 1));
  EXPECT_THAT(watched.probe({Probe{}, asking(ProbeFilterType::memcg)}, addrs),
              ElementsAre(1, 1, 1, 0, 1));
  Probe huge = asking(ProbeFilterType::hugepage_size);
  huge.filters[0].min_sz = huge.filters[0].max_sz = 2 << 20;
  EXPECT_THAT(watched.probe({huge}, addrs), ElementsAre(0, 0, 0, 0, 1));
}

TEST(SyntheticProbesTest, IdleIsWhatIsMadeIdleAndNotAccessed) {
  Watched watched("process 1\nmap a 0x10000 8K\nphase 1s\naccess a 0 4K always\n");
  watched.operations().init(watched.context());
  const std::vector<uint64_t> addrs = {0x10123, 0x11123};
  std::vector<Probe> probes = {asking(ProbeFilterType::pgidle_unset),
                               asking(ProbeFilterType::pgidle_set)};
  EXPECT_THAT(watched.probe(probes, addrs), ElementsAre(1, 2));
  EXPECT_THAT(watched.probe(probes, addrs, false), ElementsAre(1, 1)) << "nobody made it idle";
  probes[0].preps = {PrepAction::set_pgidle};
  EXPECT_THAT(watched.probe(probes, addrs, false), ElementsAre(1, 2));
}

TEST(SyntheticProbesTest, WhatIsPagedOutHitsNothing) {
  Watched watched("process 1\nmap a 0x10000 8K\nphase 1s\naccess a 0 4K always\n");
  watched.operations().init(watched.context());
  SchemeParams params;
  params.action = Action::pageout;
  Scheme scheme;
  scheme.params = params;
  Region region({0x10000, 0x12000});
  Application work{.target = &watched.target(), .region = &region};
  watched.operations().apply(scheme, std::span(&work, 1));
  EXPECT_THAT(watched.probe({Probe{}}, {0x10123, 0x11123}), ElementsAre(1, 0));
}

TEST(SyntheticTest, ActionsThatAreNotOfVirtualMemoryAreNotApplied) {
  Watched watched("process 1\nmap a 0 1M\nphase 1s\n");
  watched.operations().init(watched.context());
  Region& region = watched.target().add_region({0, 1 << 20});
  const auto applied = [&](Action action) {
    SchemeParams params;
    params.action = action;
    Application work{
        .target = &watched.target(), .region = &region, .sz_applied = 1, .sz_filter_passed = 1};
    watched.operations().apply(watched.context().add_scheme(params), {&work, 1});
    EXPECT_EQ(0U, work.sz_filter_passed);
    return work.sz_applied;
  };
  for (const Action action : {Action::nohugepage, Action::lru_prio, Action::lru_deprio}) {
    EXPECT_EQ(0U, applied(action));
  }
  EXPECT_NE(0U, applied(Action::cold));
}

TEST(PatternClockTest, FliesUntilTheEnd) {
  PatternClock clock;
  clock.fly_ns(100 * kSecond);
  const std::stop_token never;
  const uint64_t before = SteadyClock().now_ns();
  for (int i = 0; i < 10; ++i) clock.sleep_us(10000000, never);
  EXPECT_EQ(100 * kSecond, clock.now_ns());
  EXPECT_GT(60 * kSecond, SteadyClock().now_ns() - before);
}

TEST(PatternClockTest, KeepsPaceWithRealTimeBehindTheEnd) {
  PatternClock clock;
  const std::stop_token never;
  const uint64_t before = SteadyClock().now_ns();
  for (int i = 0; i < 10; ++i) clock.sleep_us(2000, never);
  EXPECT_EQ(20000000U, clock.now_ns());
  EXPECT_LE(20000000U, SteadyClock().now_ns() - before);
  clock.fly_ns(kSecond);
  clock.sleep_us(1000000, never);
  EXPECT_EQ(20000000U + kSecond, clock.now_ns());
}

TEST(PatternClockTest, StopEndsASleep) {
  PatternClock clock;
  const uint64_t before = SteadyClock().now_ns();
  {
    const std::jthread sleeper(
        [&](const std::stop_token& stop) { clock.sleep_us(uint64_t{3600} * 1000000, stop); });
  }
  EXPECT_GT(60 * kSecond, SteadyClock().now_ns() - before);
}

}  // namespace
}  // namespace damonfs
