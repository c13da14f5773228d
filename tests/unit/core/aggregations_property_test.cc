// What must hold after every aggregation, whatever is accessed, committed and updated.
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "core/adjust.h"
#include "core/base/arithmetic.h"
#include "core/commit.h"
#include "core/kdamond_loop.h"
#include "tests/unit/core/asker.h"
#include "tests/unit/core/fake_operations.h"
#include "tests/unit/core/virtual_clock.h"

namespace damonfs {
namespace {

// One context with random targets, attributes and accesses, all from one seed.
class Episode {
 public:
  explicit Episode(uint64_t seed)
      : engine_(seed), context_(fake_context(seed)), loop_(*context_, clock_, requests_) {
    context_->min_region_sz = std::vector<uint64_t>{1, 512, kPage}[dice(3)];
    context_->attrs = random_attrs();
    for (uint64_t count = 1 + dice(3); count > 0; --count) {
      layouts_.push_back(random_layout());
      context_->add_target(nullptr).set_regions(layouts_.back(), context_->min_region_sz);
    }
    FakeOperations& fake = fake_of(*context_);
    fake.accessed = [this](const Sample& sample) { return accessed(sample); };
    fake.on_update = [this](Context&) { change_layouts(); };
    loop_.start();
  }

  void run(int nr_aggregations) {
    while (nr_aggregations > 0) {
      const uint64_t end = context_->schedule.next_aggregation;
      maybe_commit();
      if (dice(200) == 0) {
        run_with_a_commit_asked_for();
      } else {
        ASSERT_TRUE(loop_.run_once({}));
      }
      ASSERT_NO_FATAL_FAILURE(check_regions());
      if (context_->schedule.passed >= end && context_->schedule.next_aggregation > end) {
        --nr_aggregations;
        ++quiet_aggregations_;
        ASSERT_NO_FATAL_FAILURE(check_sizes_and_number());
      }
    }
  }

 private:
  uint64_t dice(uint64_t sides) { return engine_() % sides; }

  MonitoringAttrs random_attrs() {
    MonitoringAttrs attrs;
    attrs.sample_us = 1000 * (1 + dice(3));
    attrs.aggr_us = attrs.sample_us * (1 + dice(6)) + dice(500);
    attrs.update_us = attrs.sample_us * (50 + dice(200));
    attrs.min_nr_regions = 3 + dice(10);
    attrs.max_nr_regions = attrs.min_nr_regions + dice(60);
    return attrs;
  }

  // Ascending aligned ranges with gaps, from one smallest region to thousands.
  std::vector<AddrRange> random_layout() {
    std::vector<AddrRange> layout;
    uint64_t at = dice(1000);
    for (uint64_t count = 1 + dice(4); count > 0; --count) {
      const uint64_t end = at + 1 + dice(dice(2) == 0 ? 10 : 5000);
      layout.push_back({at * context_->min_region_sz, end * context_->min_region_sz});
      at = end + 1 + dice(100);
    }
    return layout;
  }

  // Blocks of memory are hot or not, each for some time, with noise.
  bool accessed(const Sample& sample) {
    const uint64_t block = sample.addr / (200 * context_->min_region_sz);
    const uint64_t era = context_->schedule.passed / 64;
    return (block * 7 + era) % 4 == 0 ? dice(10) != 0 : dice(10) == 0;
  }

  void change_layouts() {
    size_t index = 0;
    for (Target& target : context_->targets) {
      if (dice(2) == 0) {
        layouts_[index] = random_layout();
        target.set_regions(layouts_[index], context_->min_region_sz);
        quiet_aggregations_ = -1;
      }
      ++index;
    }
  }

  // Attributes change; targets come, go, and change their regions.
  std::unique_ptr<Context> random_wish() {
    auto wanted = fake_context();
    wanted->min_region_sz = context_->min_region_sz;
    wanted->attrs = dice(2) == 0 ? random_attrs() : context_->attrs;
    std::vector<std::vector<AddrRange>> layouts;
    const uint64_t nr_targets = 1 + dice(3);
    for (uint64_t i = 0; i < nr_targets; ++i) {
      Target& target = wanted->add_target(nullptr);
      if (i < layouts_.size() && dice(2) == 0) {
        layouts.push_back(layouts_[i]);
        continue;
      }
      layouts.push_back(random_layout());
      for (const AddrRange& range : layouts.back()) target.add_region(range);
    }
    wanted_layouts_ = layouts;
    return wanted;
  }
  Result<void> commit(Context& running) {
    const auto wanted = random_wish();
    layouts_ = wanted_layouts_;
    quiet_aggregations_ = -1;
    return commit_context(running, *wanted);
  }
  void maybe_commit() {
    if (dice(100) == 0) {
      ASSERT_TRUE(commit(*context_));
    }
  }
  // Where the kdamond serves it: at an aggregation's end that is before regions are split again.
  void run_with_a_commit_asked_for() {
    Asker asker([this](const std::stop_token& stop) {
      return requests_.call([this](Context& running) { return commit(running); }, stop);
    });
    ASSERT_TRUE(loop_.run_once({}));
    ASSERT_EQ(asker.answer(), 0);
  }

  void check_regions() {
    ASSERT_EQ(context_->targets.size(), layouts_.size());
    size_t index = 0;
    for (const Target& target : context_->targets) {
      ASSERT_EQ(covered_by(target), layouts_[index++]);
      for (const Region& region : target.regions()) {
        check_range(region.range);
        check_counts(region);
      }
    }
  }
  void check_range(const AddrRange& range) {
    ASSERT_LT(range.start, range.end);
    ASSERT_EQ(range.start % context_->min_region_sz, 0);
    ASSERT_EQ(range.end % context_->min_region_sz, 0);
  }
  void check_counts(const Region& region) {
    const uint32_t max = context_->attrs.max_nr_accesses();
    ASSERT_LE(region.nr_accesses, max);
    ASSERT_LE(region.last_nr_accesses, max);
    ASSERT_LE(context_->moving_nr_accesses(region), max);
  }

  // When nothing but accesses has changed for a while.
  void check_sizes_and_number() {
    if (quiet_aggregations_ < 1) return;
    const uint64_t limit = align_up(region_sz_limit(*context_), context_->min_region_sz);
    uint64_t total = 0;
    uint64_t nr_ranges = 0;
    for (const Target& target : context_->targets) {
      nr_ranges += covered_by(target).size();
      for (const Region& region : target.regions()) {
        ASSERT_LE(region.range.size(), limit);
        total += region.range.size();
      }
    }
    const uint64_t nr_regions = context_->nr_regions();
    ASSERT_GE(nr_regions, (total + limit - 1) / limit);
    if (quiet_aggregations_ < 2) return;
    // Where even the largest threshold leaves too many, two neighbours exceed the size limit.
    const MonitoringAttrs& attrs = context_->attrs;
    ASSERT_LE(nr_regions, std::max(attrs.max_nr_regions, 2 * attrs.min_nr_regions + nr_ranges));
    ++nr_full_checks;
  }

 public:
  int nr_full_checks = 0;

 private:
  std::mt19937_64 engine_;
  std::unique_ptr<Context> context_;
  VirtualClock clock_;
  RequestQueue requests_;
  KdamondLoop loop_;
  std::vector<std::vector<AddrRange>> layouts_;  // what each target is to cover
  std::vector<std::vector<AddrRange>> wanted_layouts_;
  int quiet_aggregations_ = 0;  // since the last commit or update
};

TEST(Aggregations, KeepTheInvariantsWhateverHappens) {
  int nr_full_checks = 0;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Episode episode(seed);
    ASSERT_NO_FATAL_FAILURE(episode.run(200));
    nr_full_checks += episode.nr_full_checks;
  }
  EXPECT_GT(nr_full_checks, 5000) << "changes come too often to check much";
}

}  // namespace
}  // namespace damonfs
