#include "ops/vaddr/vaddr.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "core/context.h"
#include "ops/procfs/process.h"
#include "tests/unit/core/fake_metrics.h"
#include "tests/unit/ops/child.h"
#include "tests/unit/ops/temp_tree.h"

namespace damonfs {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// Says that every other sample was accessed.
class EveryOther final : public VaddrBackend {
 public:
  explicit EveryOther(int* prepared) : prepared_(prepared) {}
  void prepare(std::span<Sample> samples) override {
    *prepared_ += static_cast<int>(samples.size());
  }
  void check(std::span<Sample> samples) override {
    for (size_t i = 0; i < samples.size(); ++i) samples[i].accessed = i % 2 == 1;
  }
  void look(std::span<Sample> samples) override {
    for (Sample& sample : samples) sample.accessed = true;
  }

 private:
  int* prepared_;
};

class VaddrTest : public testing::Test {
 protected:
  VaddrTest() { map({}); }

  // Says what the process, which is the test itself, has mapped.
  void map(const std::vector<AddrRange>& mappings) const {
    std::string text;
    for (const AddrRange& range : mappings) {
      text += fmt::format("{:x}-{:x} rw-p 00000000 00:00 0\n", range.start, range.end);
    }
    tree_.write(TempTree::of_process(::getpid(), "maps"), text);
  }

  Target& add_target() {
    auto process = Process::open(::getpid(), tree_.paths());
    EXPECT_TRUE(process);
    return context_.add_target(*process);
  }

  std::unique_ptr<Operations> make_operations(OpsId id) {
    return std::make_unique<VaddrOperations>(
        id, std::make_unique<EveryOther>(&prepared_),
        std::make_unique<VaddrActions>(tree_.paths(), VaddrActionOptions{.dry_run = true}),
        tree_.paths(), metrics_);
  }

  static std::vector<AddrRange> ranges(const Target& target) {
    std::vector<AddrRange> found;
    for (const Region& region : target.regions()) found.push_back(region.range);
    return found;
  }

  TempTree tree_;
  Context context_{OpsId::vaddr, nullptr, 1};
  int prepared_ = 0;
  FakeMetrics metrics_;
  std::unique_ptr<Operations> vaddr_ = make_operations(OpsId::vaddr);
  std::unique_ptr<Operations> fvaddr_ = make_operations(OpsId::fvaddr);
  const std::vector<AddrRange> usual_{
      {0x10000, 0x20000}, {0x100000, 0x110000}, {0x111000, 0x120000}, {0x200000, 0x203000}};
};

TEST_F(VaddrTest, StartsWithThreeRegions) {
  Target& target = add_target();
  map(usual_);
  vaddr_->init(context_);
  EXPECT_THAT(ranges(target),
              ElementsAre(AddrRange{0x10000, 0x20000}, AddrRange{0x100000, 0x120000},
                          AddrRange{0x200000, 0x203000}));
}

TEST_F(VaddrTest, LeavesTheUsersRegionsAtTheStart) {
  Target& given = add_target();
  given.add_region({0x5000, 0x6000});
  Target& bare = add_target();
  map(usual_);
  vaddr_->init(context_);
  EXPECT_THAT(ranges(given), ElementsAre(AddrRange{0x5000, 0x6000}));
  EXPECT_EQ(3U, bare.nr_regions());
}

TEST_F(VaddrTest, TooFewMappingsGiveNoRegionsUntilAnUpdate) {
  Target& target = add_target();
  map({{0x1000, 0x2000}});
  vaddr_->init(context_);
  EXPECT_THAT(ranges(target), IsEmpty());
  map(usual_);
  vaddr_->update(context_);
  EXPECT_EQ(3U, target.nr_regions());
}

TEST_F(VaddrTest, UpdateFollowsTheAddressSpace) {
  Target& target = add_target();
  map(usual_);
  vaddr_->init(context_);
  for (Region& region : target.regions()) region.age = 7;
  map({{0x10000, 0x30000}, {0x300000, 0x320000}, {0x400000, 0x410000}});
  vaddr_->update(context_);
  EXPECT_THAT(ranges(target),
              ElementsAre(AddrRange{0x10000, 0x30000}, AddrRange{0x300000, 0x320000},
                          AddrRange{0x400000, 0x410000}));
  EXPECT_EQ(7U, target.regions().front().age) << "what stays keeps what is known of it";
  EXPECT_EQ(0U, target.regions().back().age);
}

TEST_F(VaddrTest, UpdateReplacesTheUsersRegions) {
  Target& target = add_target();
  target.add_region({0x5000, 0x6000});
  map(usual_);
  vaddr_->update(context_);
  EXPECT_EQ(3U, target.nr_regions());
}

TEST_F(VaddrTest, UpdateThatFailsKeepsTheRegions) {
  Target& target = add_target();
  map(usual_);
  vaddr_->init(context_);
  const auto before = ranges(target);
  for (const auto& mappings : {std::vector<AddrRange>{}, {{0x1000, 0x2000}}}) {
    map(mappings);
    vaddr_->update(context_);
    EXPECT_EQ(before, ranges(target));
  }
  tree_.write(TempTree::of_process(::getpid(), "maps"), "rubbish\n");
  vaddr_->update(context_);
  EXPECT_EQ(before, ranges(target));
}

TEST_F(VaddrTest, RegionsAreMultiplesOfTheirLeastSize) {
  Target& target = add_target();
  context_.min_region_sz = 0x10000;
  map({{0x11000, 0x12000}, {0x101000, 0x121000}, {0x204000, 0x205000}});
  vaddr_->init(context_);
  EXPECT_THAT(ranges(target),
              ElementsAre(AddrRange{0x10000, 0x20000}, AddrRange{0x100000, 0x130000},
                          AddrRange{0x200000, 0x210000}));
}

TEST_F(VaddrTest, FixedRegionsNeverChange) {
  Target& given = add_target();
  given.add_region({0x5000, 0x6000});
  Target& bare = add_target();
  map(usual_);
  fvaddr_->init(context_);
  fvaddr_->update(context_);
  EXPECT_THAT(ranges(given), ElementsAre(AddrRange{0x5000, 0x6000}));
  EXPECT_THAT(ranges(bare), IsEmpty());
}

TEST_F(VaddrTest, AsksItsBackend) {
  const Target& target = add_target();
  std::vector<Sample> samples(4, Sample{.target = &target});
  vaddr_->prepare(samples);
  EXPECT_EQ(4, prepared_);
  vaddr_->check(samples);
  EXPECT_FALSE(samples[0].accessed);
  EXPECT_TRUE(samples[3].accessed);
}

// Two pages that are there; the backend says of the second that it was accessed.
class VaddrProbesTest : public VaddrTest {
 protected:
  VaddrProbesTest() {
    const Target& target = add_target();
    for (uint64_t page = 0; page < 2; ++page) {
      tree_.put_number(TempTree::of_process(::getpid(), "pagemap"), page, uint64_t{1} << 63);
      samples_.push_back({.target = &target, .addr = page * 4096});
    }
  }
  // Which probes hit the pages in an interval.
  std::vector<int> watch(const std::vector<Probe>& probes, bool accesses) {
    const auto vaddr = make_operations(OpsId::vaddr);
    prepared_ = 0;
    if (accesses) vaddr->prepare(samples_);
    vaddr->prepare_probes(probes, samples_, accesses);
    if (accesses) vaddr->check(samples_);
    vaddr->apply_probes(probes, samples_, accesses);
    return {samples_[0].probes_hit, samples_[1].probes_hit};
  }
  static Probe accessed(bool prepared) {
    Probe probe;
    if (prepared) probe.preps = {PrepAction::set_pgidle};
    probe.filters = {
        {.type = ProbeFilterType::pgidle_unset, .matching = true, .allow = true, .path = {}}};
    return probe;
  }
  std::vector<Sample> samples_;
};

TEST_F(VaddrProbesTest, TheMonitoringMakesPagesIdle) {
  EXPECT_THAT(watch({accessed(false)}, true), ElementsAre(0, 1));
  EXPECT_EQ(2, prepared_);
  EXPECT_THAT(watch({accessed(true)}, true), ElementsAre(0, 1));
  EXPECT_EQ(2, prepared_) << "once is enough";
}

TEST_F(VaddrProbesTest, WithoutTheMonitoringThePreparationDoes) {
  EXPECT_THAT(watch({Probe{}, accessed(true)}, false), ElementsAre(1, 3));
  EXPECT_EQ(2, prepared_);
}

TEST_F(VaddrProbesTest, WithoutEitherPagesAreAsTheyAre) {
  EXPECT_THAT(watch({accessed(false)}, false), ElementsAre(1, 1)) << "as look() says";
  EXPECT_EQ(0, prepared_);
}

TEST_F(VaddrTest, TargetIsValidWhileItsProcessExists) {
  Child child;
  Target& target = context_.add_target(*Process::open(child.pid(), Paths()));
  EXPECT_TRUE(vaddr_->target_valid(target));
  child.kill();
  EXPECT_TRUE(vaddr_->target_valid(target)) << "a zombie";
  target.add_region({0x5000, 0x6000});
  vaddr_->update(context_);
  EXPECT_EQ(1U, target.nr_regions());
  child.reap();
  EXPECT_FALSE(vaddr_->target_valid(target));
  vaddr_->update(context_);
  EXPECT_EQ(1U, target.nr_regions());
}

TEST_F(VaddrTest, GivesTheContextTheMetrics) {
  vaddr_->init(context_);
  EXPECT_EQ(&metrics_, context_.metrics);
}

TEST_F(VaddrTest, ActsOnItsTargets) {
  Target& target = add_target();
  map({{0x5000, 0x7000}});
  tree_.put_number(TempTree::of_process(::getpid(), "pagemap"), 6, uint64_t{1} << 63);
  Region& region = target.add_region({0x5000, 0x7000});
  const auto applied = [&](Action action) {
    SchemeParams params;
    params.action = action;
    Application work{.target = &target, .region = &region, .sz_applied = 1, .sz_filter_passed = 1};
    vaddr_->apply(context_.add_scheme(params), {&work, 1});
    return work.sz_applied;
  };
  EXPECT_EQ(0x1000U, applied(Action::cold)) << "the page that is there";
  EXPECT_EQ(0U, applied(Action::lru_prio));
  EXPECT_EQ(0U, applied(Action::stat));
}

// A real process: three regions that hold every mapping of ours.
TEST(VaddrRealTest, CoversOurOwnMappings) {
  Context context(OpsId::vaddr, nullptr, 1);
  int prepared = 0;
  FakeMetrics metrics;
  VaddrOperations vaddr(OpsId::vaddr, std::make_unique<EveryOther>(&prepared),
                        std::make_unique<VaddrActions>(Paths()), Paths(), metrics);
  Target& target = context.add_target(*Process::open(::getpid(), Paths()));
  vaddr.init(context);
  ASSERT_EQ(3U, target.nr_regions());
  const int on_stack = 0;
  const auto holds = [&](const void* pointer) {
    const auto addr = reinterpret_cast<uint64_t>(pointer);
    return std::count_if(target.regions().begin(), target.regions().end(),
                         [&](const Region& region) {
                           return region.range.start <= addr && addr < region.range.end;
                         });
  };
  EXPECT_EQ(1, holds(&on_stack));
  EXPECT_EQ(1, holds(reinterpret_cast<const void*>(&::getpid)));
  EXPECT_EQ(1, holds(std::make_unique<int>().get()));
}

}  // namespace
}  // namespace damonfs
