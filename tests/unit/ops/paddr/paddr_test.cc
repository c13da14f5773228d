#include "ops/paddr/paddr.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "core/base/page_size.h"
#include "core/context.h"
#include "ops/procfs/system_metrics.h"
#include "tests/unit/ops/rmap/fake_page_tables.h"
#include "tests/unit/ops/vaddr/vaddr_actions_fixtures.h"

namespace damonfs {
namespace {

using testing::ElementsAre;

// Remembers what it is to prepare; frame 5 is accessed since then, frame 6 since before.
class RecordingBits final : public PaddrBackend {
 public:
  explicit RecordingBits(std::vector<uint64_t>& asked, bool needs_map)
      : asked_(asked), needs_map_(needs_map) {}
  void prepare(std::span<FrameSample> samples) override {
    asked_.clear();
    for (const FrameSample& sample : samples) asked_.push_back(sample.frame);
  }
  void check(std::span<FrameSample> samples) override { find_accessed(samples, 5); }
  void look(std::span<FrameSample> samples) override { find_accessed(samples, 6); }
  void young(std::span<const Folio>, std::span<bool>) override {}
  bool needs_map() const override { return needs_map_; }

 private:
  static void find_accessed(std::span<FrameSample> samples, uint64_t frame) {
    for (FrameSample& sample : samples) {
      sample.accessed = sample.frame == frame;
      sample.leaf_sz = sample.frame == frame ? uint64_t{kPageSize} : 0;
    }
  }
  std::vector<uint64_t>& asked_;
  bool needs_map_;
};

class PaddrTest : public testing::Test {
 protected:
  Context& make(bool needs_map) {
    auto keeper = *RmapRefresher::create(
        std::make_unique<FakeRmapSource>(std::make_shared<FakeRmapSource::World>()), 100);
    keeper_ = keeper.get();
    auto bits = std::make_unique<RecordingBits>(asked_, needs_map);
    auto actions = std::make_unique<PaddrActions>(system_.paths(), *keeper, *bits);
    context_ = std::make_unique<Context>(
        OpsId::paddr,
        std::make_unique<PaddrOperations>(std::move(keeper), std::move(bits), std::move(actions),
                                          system_.paths(), metrics_),
        1);
    target_ = &context_->add_target(nullptr);
    return *context_;
  }
  // Scans there were, once none is under way.
  size_t nr_scans() const {
    EXPECT_TRUE(keeper_->wait(std::chrono::seconds(10)));
    return keeper_->nr_scans();
  }

  FakeSystem system_;
  SystemMetrics metrics_{system_.paths()};
  std::vector<uint64_t> asked_;
  RmapRefresher* keeper_ = nullptr;
  std::unique_ptr<Context> context_;
  Target* target_ = nullptr;
};

TEST_F(PaddrTest, AddressesAreInUnits) {
  Context& context = make(false);
  context.addr_unit = 1024;
  context.operations->init(context);
  std::vector<Sample> samples{{.target = target_, .addr = 3},
                              {.target = target_, .addr = 23},
                              {.target = target_, .addr = 24},
                              {.target = target_, .addr = UINT64_MAX}};
  context.operations->prepare(samples);
  EXPECT_THAT(asked_, ElementsAre(0, 5, 6, UINT64_MAX / kPageSize));
  context.operations->check(samples);
  EXPECT_TRUE(samples[1].accessed);
  EXPECT_EQ(samples[1].leaf_sz, kPageSize);
  EXPECT_FALSE(samples[0].accessed || samples[2].accessed || samples[3].accessed);
  context.addr_unit = 4096;  // as a commit may
  context.operations->prepare(samples);
  EXPECT_THAT(asked_, ElementsAre(3, 23, 24, UINT64_MAX / kPageSize));
}

Probe probe_of(ProbeFilterType type, uint64_t size = 0) {
  return {.preps = {},
          .filters = {{.type = type,
                       .matching = true,
                       .allow = true,
                       .path = {},
                       .min_sz = size,
                       .max_sz = size}}};
}

TEST_F(PaddrTest, SharesOfNodesAreOfWhatIsMemory) {
  Context& context = make(false);
  context.addr_unit = 1024;
  context.operations->init(context);
  system_.write("proc/iomem", "00000000-00ffffff : System RAM\n");
  system_.write("sys/devices/system/memory/block_size_bytes", "800000\n");
  system_.make_folder("sys/devices/system/node/node1/memory1");
  for (const uint64_t frame : {0, 1, 2048, 4096}) system_.set_flags(frame, frame_flags::kLru);
  const std::vector<AddrRange> memory{{0, 4}, {4, 8}, {8 << 10, uint64_t{1} << 40}};
  const NodeShare share = context.operations->node_share(memory, 1);
  EXPECT_EQ(share.all, 3 * kPageSize) << "frame 4096 is beyond RAM";
  EXPECT_EQ(share.on_node, kPageSize);
}

class PaddrProbesTest : public PaddrTest {
 protected:
  // Frames 4 to 7: none, anonymous, of a file, and the kernel's; 1024 is a huge page of a file.
  PaddrProbesTest() {
    using namespace frame_flags;
    system_.set_flags(5, kLru | kAnon);
    system_.set_flags(6, kLru);
    system_.set_flags(7, 0);
    system_.set_flags(1024, kLru | kCompoundHead);
    for (uint64_t i = 1; i < 512; ++i) system_.set_flags(1024 + i, kCompoundTail);
    Context& context = make(false);
    operations().init(context);
  }
  Operations& operations() { return *context_->operations; }

  // Which probes each frame hits, as bits.
  std::vector<int> hits(const std::vector<Probe>& probes, bool accesses) {
    std::vector<Sample> samples;
    for (const uint64_t frame : {4, 5, 6, 7, 1300}) {
      samples.push_back({.target = target_, .addr = frame * kPageSize, .probes_hit = 0xff});
    }
    asked_.clear();
    if (accesses) operations().prepare(samples);
    operations().prepare_probes(probes, samples, accesses);
    if (accesses) operations().check(samples);
    operations().apply_probes(probes, samples, accesses);
    std::vector<int> hits;
    for (const Sample& sample : samples) hits.push_back(sample.probes_hit);
    return hits;
  }
};

TEST_F(PaddrProbesTest, AskWhatFramesAre) {
  const std::vector<Probe> probes{
      probe_of(ProbeFilterType::anon),
      probe_of(ProbeFilterType::hugepage_size, uint64_t{2} << 20),
      {.preps = {}, .filters = {}},
  };
  EXPECT_THAT(hits(probes, true), ElementsAre(0, 5, 4, 0, 6));
  EXPECT_THAT(hits(probes, false), ElementsAre(0, 5, 4, 0, 6));
  EXPECT_TRUE(asked_.empty()) << "accesses that nobody asks for are not watched";
}

TEST_F(PaddrProbesTest, IdleIsWhatWasNotAccessed) {
  std::vector<Probe> probes{probe_of(ProbeFilterType::pgidle_unset),
                            probe_of(ProbeFilterType::pgidle_set)};
  EXPECT_THAT(hits(probes, true), ElementsAre(0, 1, 2, 0, 2));
  EXPECT_THAT(hits(probes, false), ElementsAre(0, 2, 1, 0, 2)) << "as others have left them";
  EXPECT_TRUE(asked_.empty());
  probes[0].preps = {PrepAction::set_pgidle};
  EXPECT_THAT(hits(probes, false), ElementsAre(0, 1, 2, 0, 2));
  EXPECT_THAT(asked_, ElementsAre(4, 5, 6, 7, 1300));
}

TEST_F(PaddrTest, RegionsAreTheUsers) {
  Context& context = make(true);
  context.operations->init(context);
  EXPECT_EQ(target_->nr_regions(), 0U);
  target_->add_region({0x1000, 0x8000});
  context.operations->update(context);
  EXPECT_EQ(target_->nr_regions(), 1U);
  EXPECT_EQ(target_->regions().front().range, (AddrRange{0x1000, 0x8000}));
  EXPECT_TRUE(context.operations->target_valid(*target_)) << "memory does not go away";
}

TEST_F(PaddrTest, MapsAreMadeWhenTheyAreNeeded) {
  Context& without = make(false);
  without.operations->init(without);
  without.operations->update(without);
  EXPECT_EQ(nr_scans(), 0U);
  SchemeParams params;
  without.add_scheme(params);  // stat
  without.operations->update(without);
  EXPECT_EQ(nr_scans(), 0U);
  params.action = Action::pageout;
  without.add_scheme(params);
  without.operations->update(without);
  EXPECT_EQ(nr_scans(), 1U);

  Context& with = make(true);
  with.operations->init(with);
  EXPECT_EQ(nr_scans(), 1U);
  with.operations->update(with);
  EXPECT_EQ(nr_scans(), 2U);
}

TEST(TryPhysicalTest, SaysWhatIsMissing) {
  const auto nowhere = try_page_frames(TempTree().paths());
  EXPECT_EQ(nowhere.error().code, ENOENT);
  const TempTree hidden;
  hidden.write("proc/self/pagemap", "");
  EXPECT_EQ(try_page_frames(hidden.paths()).error().code, EPERM);
  if (geteuid() == 0) {
    EXPECT_TRUE(try_page_frames(Paths()));
  }
}

}  // namespace
}  // namespace damonfs
