#include "ops/paddr.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "core/context.h"
#include "ops/page_size.h"
#include "tests/unit/ops/action_fixtures.h"
#include "tests/unit/ops/fake_page_tables.h"

namespace damonfs {
namespace {

using testing::ElementsAre;

// Remembers what it is asked; frame 5 is accessed.
class FakeBits final : public PhysicalBits {
 public:
  explicit FakeBits(std::vector<uint64_t>& asked, bool needs_map)
      : asked_(asked), needs_map_(needs_map) {}
  void prepare(std::span<FrameSample> samples) override {
    asked_.clear();
    for (const FrameSample& sample : samples) asked_.push_back(sample.frame);
  }
  void check(std::span<FrameSample> samples) override {
    for (FrameSample& sample : samples) {
      sample.accessed = sample.frame == 5;
      sample.leaf_sz = sample.frame == 5 ? kPageSize : 0;
    }
  }
  void young(std::span<const Folio>, std::span<bool>) override {}
  bool needs_map() const override { return needs_map_; }
  std::string_view name() const override { return "fake"; }

 private:
  std::vector<uint64_t>& asked_;
  bool needs_map_;
};

class PaddrTest : public testing::Test {
 protected:
  Context& make(bool needs_map) {
    auto keeper = std::make_unique<ReverseMapKeeper>(
        std::make_unique<FakePageTables>(std::make_shared<FakePageTables::World>()), 100);
    keeper_ = keeper.get();
    auto bits = std::make_unique<FakeBits>(asked_, needs_map);
    auto actions = std::make_unique<PhysicalActions>(system_.paths(), *keeper, *bits);
    context_ = std::make_unique<Context>(
        OpsId::paddr,
        std::make_unique<PaddrOperations>(std::move(keeper), std::move(bits), std::move(actions)),
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
  std::vector<uint64_t> asked_;
  ReverseMapKeeper* keeper_ = nullptr;
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
  const auto soft_dirty = try_physical("soft-dirty", Paths());
  ASSERT_FALSE(soft_dirty);
  EXPECT_EQ(soft_dirty.error().code, ENOTSUP);
  const auto nowhere = try_physical("pte", TempTree().paths());
  EXPECT_EQ(nowhere.error().code, ENOENT);
  const TempTree hidden;
  hidden.write("proc/self/pagemap", "");
  EXPECT_EQ(try_physical("idle", hidden.paths()).error().code, EPERM);
  if (geteuid() == 0) {
    EXPECT_TRUE(try_physical("pte", Paths()));
  }
}

}  // namespace
}  // namespace damonfs
