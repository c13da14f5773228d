// Which trace events a kdamond tells of, and when.
#include "core/trace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/kdamond_loop.h"
#include "tests/unit/core/fake_operations.h"
#include "tests/unit/core/virtual_clock.h"

namespace damonfs {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class FakeSink final : public TraceSink {
 public:
  bool listens = true;
  std::vector<TraceFields> events;
  [[nodiscard]] bool wanted() const override { return listens; }
  void emit(uint64_t, const TraceFields& fields) override { events.push_back(fields); }

  template <class T>
  [[nodiscard]] std::vector<T> all() const {
    std::vector<T> found;
    for (const TraceFields& fields : events) {
      if (const T* event = std::get_if<T>(&fields)) found.push_back(*event);
    }
    return found;
  }
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const TraceFields& fields : events) {
      found.emplace_back(std::visit([](const auto& event) { return event.kName; }, fields));
    }
    return found;
  }
};

class TraceTest : public testing::Test {
 protected:
  TraceTest() {
    context_->trace = &sink_;
    context_->attrs.sample_us = 5000;
    context_->attrs.aggr_us = 20000;
    context_->attrs.min_nr_regions = 3;
    context_->add_target(nullptr).add_region(pages(0, 1));
    context_->add_target(nullptr).add_region(pages(10, 11));
  }
  // One aggregation interval.
  void aggregate() {
    KdamondLoop loop(*context_, clock_, requests_);
    loop.start();
    for (int i = 0; i < 4; ++i) ASSERT_TRUE(loop.run_once(stop_.get_token()));
  }
  Scheme& add_scheme() {
    SchemeParams params;
    params.pattern = kEverything;
    params.action = Action::stat;
    return context_->add_scheme(params);
  }

  FakeSink sink_;
  std::unique_ptr<Context> context_ = fake_context();
  VirtualClock clock_;
  RequestQueue requests_;
  std::stop_source stop_;
};

TEST_F(TraceTest, EachRegionAtTheEndOfAnAggregation) {
  fake_of(*context_).accessed = [](const Sample& sample) { return sample.addr < kPage; };
  aggregate();
  const auto events = sink_.all<AggregatedEvent>();
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(sink_.events.size(), 4U);
  EXPECT_EQ(events[0].target_id, 0U);
  EXPECT_EQ(events[0].nr_regions, 1U);
  EXPECT_EQ(events[0].start, 0U);
  EXPECT_EQ(events[0].end, kPage);
  EXPECT_EQ(events[0].nr_accesses, 4U);  // counted, not yet reset
  EXPECT_EQ(events[1].target_id, 1U);
  EXPECT_EQ(events[1].start, 10 * kPage);
  EXPECT_EQ(events[1].nr_accesses, 0U);
}

TEST_F(TraceTest, EachRegionWithItsProbeHits) {
  fake_of(*context_).probes_hit = [](const Sample& sample) -> uint8_t {
    return sample.addr < kPage ? 3 : 2;
  };
  context_->probes.resize(2);
  aggregate();
  const auto events = sink_.all<RegionAggregatedEvent>();
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0].region.end, kPage);
  EXPECT_EQ(events[0].nr_probes, 2U);
  EXPECT_EQ(events[0].probe_hits, (ProbeHits{4, 4}));
  EXPECT_EQ(events[1].region.target_id, 1U);
  EXPECT_EQ(events[1].probe_hits, (ProbeHits{0, 4}));
}

TEST_F(TraceTest, SchemesTellBeforeTheyApplyAndWhenTheyAreDone) {
  add_scheme();
  add_scheme();
  std::vector<size_t> told_before;
  fake_of(*context_).on_apply = [&](const Scheme&, Application&) {
    told_before.push_back(sink_.all<BeforeApplyEvent>().size());
  };
  aggregate();
  EXPECT_THAT(told_before, ElementsAre(2, 2, 4, 4));
  EXPECT_THAT(
      sink_.names(),
      ElementsAre("damos_before_apply", "damos_before_apply", "damos_before_apply",
                  "damos_before_apply", "damos_stat_after_apply_interval",
                  "damos_stat_after_apply_interval", "damon_aggregated", "damon_region_aggregated",
                  "damon_aggregated", "damon_region_aggregated"));
  const auto before = sink_.all<BeforeApplyEvent>();
  EXPECT_EQ(before[1].target_idx, 1U);
  EXPECT_EQ(before[1].start, 10 * kPage);
  EXPECT_EQ(before[2].scheme_idx, 1U);
  EXPECT_EQ(before[2].target_idx, 0U);
  const auto stats = sink_.all<StatEvent>();
  EXPECT_EQ(stats[1].scheme_idx, 1U);
  EXPECT_EQ(stats[1].stat.nr_tried, 2U);
  EXPECT_EQ(stats[1].stat.sz_tried, 2 * kPage);
}

TEST_F(TraceTest, TheQuotaInEffectIsToldWhenAWindowOpens) {
  QuotaParams& quota = add_scheme().quota.params;
  quota.bytes = 8 * kPage;
  quota.reset_interval_ms = 1000;
  aggregate();
  const auto events = sink_.all<EszEvent>();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].esz, 8 * kPage);
}

TEST_F(TraceTest, TuningTellsTheNewSamplingInterval) {
  context_->attrs.intervals_goal = {
      .access_bp = 400, .aggrs = 1, .min_sample_us = 5000, .max_sample_us = 100000};
  aggregate();  // nothing is accessed, so the intervals grow
  const auto events = sink_.all<IntervalsTuneEvent>();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].sample_us, context_->attrs.sample_us);
  EXPECT_GT(events[0].sample_us, 5000U);
}

TEST_F(TraceTest, NothingIsToldToWhoDoesNotListen) {
  add_scheme();
  sink_.listens = false;
  aggregate();
  EXPECT_THAT(sink_.events, IsEmpty());
}

}  // namespace
}  // namespace damonfs
