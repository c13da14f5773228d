#include "ops/synthetic/synthetic_paddr.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "core/base/page_size.h"
#include "core/context.h"
#include "ops/synthetic/pattern_memory.h"
#include "ops/synthetic/synthetic_vaddr.h"
#include "tests/unit/core/virtual_clock.h"
#include "tests/unit/units.h"

namespace damonfs {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<AddrRange> places(const PatternMemory& memory) {
  std::vector<AddrRange> ranges;
  for (const auto& block : memory.blocks()) ranges.push_back(block.physical);
  return ranges;
}

TEST(PatternMemoryTest, MappingsLieOneAfterTheOtherFrom4GiBOn) {
  const Pattern pattern = *parse_pattern(
      "process 2\nmap a 0 3M\nmap b 0x40000000 2G huge 1G\nphase 1s\n"
      "process *\nmap a 0 64M\nphase 1s\n"
      "process 1\nmap a 0x7000 4K\nphase 1s\nabsent a\n");
  const PatternMemory memory(pattern);
  const uint64_t last = 7 * kGiB;
  EXPECT_THAT(places(memory),
              ElementsAre(AddrRange{4 * kGiB, 4 * kGiB + 3 * kMiB}, AddrRange{5 * kGiB, 7 * kGiB},
                          AddrRange{last, last + kPageSize}));
  EXPECT_EQ((AddrRange{4 * kGiB, last + 2 * kMiB}), memory.space());
  EXPECT_EQ(1, memory.blocks()[2].pid);
  EXPECT_EQ(0x7000U, memory.blocks()[2].to_virtual(last));
  EXPECT_EQ(&memory.blocks()[0], &*memory.at_or_above(0));
  EXPECT_EQ(&memory.blocks()[1], &*memory.at_or_above(4 * kGiB + 3 * kMiB));
  EXPECT_EQ(memory.blocks().end(), memory.at_or_above(last + kPageSize));
}

TEST(PatternMemoryTest, IsEmptyWithoutProcessesThatHaveANumber) {
  const Pattern pattern = *parse_pattern("process *\nmap a 0 64M\nphase 1s\n");
  EXPECT_THAT(places(PatternMemory(pattern)), IsEmpty());
  EXPECT_EQ(0U, PatternMemory(pattern).space().size());
}

// A pattern's physical memory, watched and acted on by hand in virtual time. Addresses are bytes
// above 4 GiB.
class PhysicalMemory {
 public:
  explicit PhysicalMemory(const std::string& text, uint64_t addr_unit = 1)
      : pattern_(std::make_shared<const Pattern>(*parse_pattern(text))),
        context_(OpsId::paddr, nullptr, 1),
        operations_(pattern_, clock_) {
    context_.addr_unit = addr_unit;
    target_ = &context_.add_target(nullptr);
    operations_.init(context_);
  }

  std::vector<bool> watch(const std::vector<uint64_t>& addrs) {
    std::vector<Sample> samples;
    samples.reserve(addrs.size());
    for (const uint64_t addr : addrs) {
      samples.push_back({.target = target_, .addr = (4 * kGiB + addr) / context_.addr_unit});
    }
    operations_.prepare(samples);
    clock_.advance_ns(5'000'000);
    operations_.check(samples);
    std::vector<bool> accessed;
    leaf_sizes.clear();
    for (const Sample& sample : samples) {
      accessed.push_back(sample.accessed);
      leaf_sizes.push_back(sample.leaf_sz);
    }
    return accessed;
  }

  // Which of `probes` each page hits that is watched for an interval, as bits.
  std::vector<int> hits(const std::vector<Probe>& probes, const std::vector<uint64_t>& addrs) {
    std::vector<Sample> samples;
    samples.reserve(addrs.size());
    for (const uint64_t addr : addrs) {
      samples.push_back({.target = target_, .addr = (4 * kGiB + addr) / context_.addr_unit});
    }
    operations_.prepare(samples);
    operations_.prepare_probes(probes, samples, true);
    clock_.advance_ns(5'000'000);
    operations_.check(samples);
    operations_.apply_probes(probes, samples, true);
    std::vector<int> hits;
    hits.reserve(samples.size());
    for (const Sample& sample : samples) hits.push_back(sample.probes_hit);
    return hits;
  }

  // What is applied, in units of address.
  uint64_t apply(Action action, uint64_t start, uint64_t end, const Filters& filters = {}) {
    scheme_.params.action = action;
    scheme_.params.target_nid = 1;
    scheme_.params.filters = filters;
    target_->clear_regions();
    const uint64_t unit = context_.addr_unit;
    Region& region = target_->add_region({(4 * kGiB + start) / unit, (4 * kGiB + end) / unit});
    std::vector<Application> work{{.target = target_, .region = &region}};
    operations_.apply(scheme_, work);
    passed = work[0].sz_filter_passed;
    return work[0].sz_applied;
  }
  // Of what is between `start` and `end`, how much there is and how much of it on node 1, in MiB.
  std::pair<uint64_t, uint64_t> share(uint64_t start, uint64_t end) {
    const uint64_t unit = context_.addr_unit;
    const AddrRange range{(4 * kGiB + start) / unit, (4 * kGiB + end) / unit};
    const NodeShare share = operations_.node_share(std::span(&range, 1), 1);
    return {share.all / kMiB, share.on_node / kMiB};
  }
  [[nodiscard]] Metrics& metrics() const { return *context_.metrics; }
  [[nodiscard]] bool valid() { return operations_.target_valid(*target_); }

  std::vector<uint64_t> leaf_sizes;
  uint64_t passed = 0;

 private:
  VirtualClock clock_;
  std::shared_ptr<const Pattern> pattern_;
  Context context_;
  SyntheticPaddr operations_;
  Target* target_;
  Scheme scheme_;
};

// From 4 GiB on: 4 MiB of 1 of which the second half is hot, 1 MiB of a hole, 4 MiB of 2, hot.
constexpr const char* kTwo =
    "memory 64M\n"
    "process 1\nmap a 0x10000 3M\nphase 1s\naccess a 1M 2M always\nend exit\n"
    "process 2\nmap a 0x20000 4M huge 64K file\nphase 1h\naccess a always\n";

TEST(SyntheticPaddrTest, SeesWhatTheOwnerOfThePageAccesses) {
  PhysicalMemory memory(kTwo);
  EXPECT_THAT(memory.watch({0, kMiB - 1, kMiB, 3 * kMiB - 1, 3 * kMiB, 4 * kMiB, 8 * kMiB - 1}),
              ElementsAre(false, false, true, true, false, true, true));
  EXPECT_THAT(memory.leaf_sizes, ElementsAre(kPageSize, kPageSize, kPageSize, kPageSize, 0,
                                             16 * kPageSize, 16 * kPageSize));
  EXPECT_THAT(memory.watch({8 * kMiB}), ElementsAre(false)) << "above all memory";
}

TEST(SyntheticPaddrTest, AddressesAreInUnits) {
  PhysicalMemory memory(kTwo, 1024);
  EXPECT_THAT(memory.watch({0, kMiB, 4 * kMiB}), ElementsAre(false, true, true));
  EXPECT_EQ(2 * kMiB / 1024, memory.apply(Action::pageout, kMiB / 2, 5 * kMiB / 2));
}

TEST(SyntheticPaddrTest, ProbesAreAskedOfThePageThatIsThere) {
  const auto probe = [](ProbeFilterType type) {
    return Probe{.preps = {},
                 .filters = {{.type = type, .matching = true, .allow = true, .path = {}}}};
  };
  for (const uint64_t unit : {1, 1024}) {
    PhysicalMemory memory(kTwo, unit);
    EXPECT_THAT(memory.hits({probe(ProbeFilterType::anon), probe(ProbeFilterType::pgidle_unset)},
                            {0, kMiB, 3 * kMiB, 4 * kMiB, 8 * kMiB}),
                ElementsAre(1, 3, 0, 2, 0));
  }
}

TEST(SyntheticPaddrTest, SeesWhatVaddrSees) {
  const std::string text = "process 7\nmap a 0x10000 16M\nphase 1s\naccess a 40/s\n";
  PhysicalMemory memory(text);
  const auto pattern = std::make_shared<const Pattern>(*parse_pattern(text));
  VirtualClock clock;
  Context context(OpsId::fvaddr, nullptr, 1);
  SyntheticVaddr operations(OpsId::fvaddr, pattern, clock);
  Target& target = context.add_target(*SyntheticProcess::open(7, pattern));
  operations.init(context);
  int nr_accessed = 0;
  for (uint64_t page = 0; page < 200; ++page) {
    std::vector<Sample> samples{{.target = &target, .addr = 0x10000 + page * kPageSize}};
    operations.prepare(samples);
    clock.advance_ns(5'000'000);
    operations.check(samples);
    EXPECT_THAT(memory.watch({page * kPageSize}), ElementsAre(samples[0].accessed));
    if (samples[0].accessed) ++nr_accessed;
  }
  EXPECT_GT(nr_accessed, 10);
  EXPECT_LT(nr_accessed, 80);
}

TEST(SyntheticPaddrTest, PageoutTakesFromEveryOwnerOnce) {
  PhysicalMemory memory(kTwo);
  EXPECT_EQ((64U - 7) * 1000 / 64, memory.metrics().free_mem_permille());
  EXPECT_EQ(kMiB + 2 * kMiB, memory.apply(Action::pageout, 2 * kMiB, 6 * kMiB));
  EXPECT_EQ(0U, memory.apply(Action::pageout, 2 * kMiB, 6 * kMiB));
  EXPECT_EQ(0U, memory.passed) << "no filter was asked";
}

TEST(SyntheticPaddrTest, FiltersSpare) {
  PhysicalMemory memory(kTwo);
  Filter anon;
  anon.type = FilterType::anon;
  anon.matching = true;
  EXPECT_EQ(4 * kMiB, memory.apply(Action::pageout, 0, 16 * kMiB, {.core = {}, .ops = {anon}}));
  EXPECT_EQ(4 * kMiB, memory.passed);
  EXPECT_EQ(3 * kMiB, memory.apply(Action::pageout, 0, 16 * kMiB));
}

TEST(SyntheticPaddrTest, SortingAndMigratingCountWhatIsThere) {
  PhysicalMemory memory(kTwo);
  EXPECT_EQ(4 * kMiB, memory.apply(Action::pageout, 4 * kMiB, 8 * kMiB));
  EXPECT_EQ(3 * kMiB, memory.apply(Action::lru_prio, 0, 8 * kMiB));
  EXPECT_EQ(3 * kMiB, memory.apply(Action::lru_deprio, 0, 8 * kMiB));
  EXPECT_EQ(3 * kMiB, memory.apply(Action::migrate_cold, 0, 8 * kMiB));
  EXPECT_EQ(0U, memory.apply(Action::migrate_hot, 0, 8 * kMiB)) << "there already";
  EXPECT_EQ(0U, memory.apply(Action::stat, 0, 8 * kMiB));
}

TEST(SyntheticPaddrTest, KnowsWhichNodeMemoryIsOn) {
  using Share = std::pair<uint64_t, uint64_t>;
  for (const uint64_t unit : {1, 1024}) {
    PhysicalMemory memory(kTwo, unit);
    EXPECT_EQ(Share(7, 0), memory.share(0, 16 * kMiB));
    memory.apply(Action::migrate_cold, 2 * kMiB, 5 * kMiB);
    EXPECT_EQ(Share(7, 2), memory.share(0, 16 * kMiB));
    EXPECT_EQ(Share(1, 1), memory.share(2 * kMiB, 4 * kMiB));
    memory.apply(Action::pageout, 0, 3 * kMiB);
    EXPECT_EQ(Share(4, 1), memory.share(0, 16 * kMiB)) << "what is paged out is nowhere";
  }
}

TEST(SyntheticPaddrTest, ActionsOfVirtualMemoryAreNotDone) {
  PhysicalMemory memory(kTwo);
  for (const Action action :
       {Action::willneed, Action::cold, Action::hugepage, Action::nohugepage, Action::collapse}) {
    EXPECT_EQ(0U, memory.apply(action, 0, 8 * kMiB)) << static_cast<int>(action);
  }
}

TEST(SyntheticPaddrTest, MemoryStaysWhenAProcessIsGone) {
  PhysicalMemory memory(kTwo);
  for (int i = 0; i < 201; ++i) (void)memory.watch({});
  EXPECT_TRUE(memory.valid());
  EXPECT_THAT(memory.watch({2 * kMiB, 4 * kMiB}), ElementsAre(false, true));
  EXPECT_EQ(4 * kMiB, memory.apply(Action::pageout, 0, 8 * kMiB)) << "process 1 has none left";
}

}  // namespace
}  // namespace damonfs
