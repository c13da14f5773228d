#include "reclaim/access_stat.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/reclaim/fake_machine.h"

namespace damonfs {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::IsEmpty;

// Regions as they are at the end of an aggregation of 100 ms.
std::unique_ptr<Context> context_of(const std::vector<Known>& regions) {
  auto context = build(StatParams());
  context->schedule.passed = context->schedule.next_aggregation = 20;
  Target& target = context->targets.front();
  target.clear_regions();
  for (const Known& known : regions) add_region(target, known);
  return context;
}

TEST(AccessStatTest, MonitorsAllSystemRamWithTunedIntervals) {
  const auto context = build(StatParams());
  EXPECT_EQ(OpsId::paddr, context->ops_id);
  EXPECT_THAT(ranges_of(context->targets.front()), ElementsAre(kRam));
  EXPECT_THAT(context->schemes, IsEmpty());
  MonitoringAttrs attrs;
  attrs.intervals_goal = {400, 3, 5000, 10'000'000};
  EXPECT_EQ(attrs, context->attrs);
}

TEST(AccessStatTest, IsZeroWhenNew) {
  const StatReport report;
  EXPECT_EQ(0U, report.bytes_per_second);
  EXPECT_THAT(report.idle_ms, Each(0));
}

TEST(AccessStatTest, BandwidthIsWhatIsAccessedASecond) {
  // 1 MiB in every one of 20 samples, 3 MiB in one: 23 MiB in 100 ms.
  const auto context =
      context_of({{{0, kMiB}, 20, 3}, {{kMiB, 4 * kMiB}, 1, 0}, {{4 * kMiB, 16 * kMiB}, 0, 7}});
  EXPECT_EQ(230 * kMiB, StatReport::of(*context).bytes_per_second);
  EXPECT_EQ(100'000U, StatReport::of(*context).aggr_us);
}

TEST(AccessStatTest, PercentilesAscendFromWhatIsAccessedLongest) {
  // A tenth accessed for 4 aggregations, a fifth just now, the rest idle for 1 and 100.
  const auto context = context_of({{pages(0, 30), 0, 0},
                                   {pages(30, 40), 5, 3},
                                   {pages(40, 80), 0, 99},
                                   {pages(80, 100), 1, 0}});
  const auto idle = StatReport::of(*context).idle_ms;
  EXPECT_EQ(-400, idle[0]);
  EXPECT_EQ(-400, idle[10]);
  EXPECT_EQ(-100, idle[11]);
  EXPECT_EQ(-100, idle[30]);
  EXPECT_EQ(100, idle[31]);
  EXPECT_EQ(100, idle[60]);
  EXPECT_EQ(10'000, idle[61]);
  EXPECT_EQ(10'000, idle[100]);
}

TEST(AccessStatTest, NoMemoryHasNoPercentiles) {
  const auto context = context_of({});
  EXPECT_THAT(StatReport::of(*context).idle_ms, Each(0));
  EXPECT_EQ(0U, StatReport::of(*context).bytes_per_second);
}

TEST(AccessStatTest, FollowsTunedIntervals) {
  Played played(build(StatParams()));
  played.run_us(60'000'000);
  EXPECT_GT(StatReport::of(played.context()).aggr_us, 1'000'000U)
      << "of memory that is not accessed nothing is seen, however long one looks";
  EXPECT_GT(StatReport::of(played.context()).idle_ms[50], 10'000);
}

}  // namespace
}  // namespace damonfs
