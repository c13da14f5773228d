#include "fs/exec/perf_options.h"

#include <gmock/gmock.h>

#include <cerrno>
#include <string>
#include <vector>

namespace damonfs {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Result<std::optional<PerfRecord>> parse(std::vector<std::string> words) {
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  return parse_perf_record(pointers);
}

TEST(PerfOptions, UnderstandsWhatDamoAsksFor) {
  const auto wanted = parse({"-a", "-o", "out", "-e", "damon:damon_aggregated", "-e",
                             "damon:damon_monitor_intervals_tune"});
  ASSERT_TRUE(wanted && *wanted);
  EXPECT_EQ((*wanted)->output, "out");
  EXPECT_THAT((*wanted)->events, ElementsAre("damon_aggregated", "damon_monitor_intervals_tune"));
  EXPECT_THAT((*wanted)->command, IsEmpty());
}

TEST(PerfOptions, OptionsMayBeJoinedWithTheirValues) {
  const auto wanted = parse({"--event=damon:a,damon:b", "-oout", "-q", "--", "sleep", "1"});
  ASSERT_TRUE(wanted && *wanted);
  EXPECT_THAT((*wanted)->events, ElementsAre("a", "b"));
  EXPECT_EQ((*wanted)->output, "out");
  EXPECT_TRUE((*wanted)->quiet);
  EXPECT_THAT((*wanted)->command, ElementsAre("sleep", "1"));
}

TEST(PerfOptions, OtherEventsAreNotOurs) {
  const auto none = parse({"-a", "-e", "sched:sched_switch", "-g", "-F", "99"});
  ASSERT_TRUE(none);
  EXPECT_FALSE(*none);
  EXPECT_FALSE(*parse({"-o", "out.profile"}));
  EXPECT_FALSE(*parse({}));
}

TEST(PerfOptions, RefusesWhatItCannotDo) {
  EXPECT_EQ(parse({"-e", "damon:a,cycles"}).error().code, EINVAL);
  EXPECT_EQ(parse({"-e", "damon:a", "-p", "1"}).error().code, EINVAL);
}

}  // namespace
}  // namespace damonfs
