#include "fs/metrics/exposition.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "fs/metrics/families.h"
#include "fs/metrics/label_text.h"

namespace damonfs::test {
namespace {

using testing::HasSubstr;
using testing::Not;

MetricsSample sample_of(std::string service) {
  MetricsSample sample;
  sample.backend = "pte";
  sample.cpu_ns = 1'500'000'000;
  sample.refaults = {{"anon", 3}, {"file", 4}};
  ServiceSample& with = sample.services.emplace_back();
  with.name = std::move(service);
  with.running = true;
  with.context.emplace();
  with.context->nr_processes = 2;
  with.context->memory.bytes[0][0] = 4096;
  with.context->memory.bytes[2][0] = 8192;
  with.context->memory.bytes[4][0] = 100;
  with.context->memory.accessed = 4096;
  with.context->summary.schemes.resize(1);
  with.context->summary.schemes[0].action = Action::pageout;
  with.context->summary.schemes[0].stat.sz_applied = 12345678901234;
  sample.services.emplace_back().name = "off";
  return sample;
}

std::string text_of(const MetricsSample& sample, Exposition format = Exposition::openmetrics) {
  return expose(families_of(sample), format);
}

TEST(Exposition, OpenMetrics) {
  const std::string text = text_of(sample_of("redis-server"));
  EXPECT_THAT(text,
              HasSubstr("# TYPE damonfs_memory_bytes gauge\n# UNIT damonfs_memory_bytes bytes\n"));
  EXPECT_THAT(
      text,
      HasSubstr("damonfs_memory_bytes{service=\"redis-server\",age=\"10s\",kind=\"anon\"} 8192\n"));
  EXPECT_THAT(text, HasSubstr("damonfs_working_set_bytes{service=\"redis-server\"} 12288\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE damonfs_cpu_seconds counter\n# UNIT damonfs_cpu_seconds "
                              "seconds\n# HELP damonfs_cpu_seconds Processor time of the "
                              "daemon\ndamonfs_cpu_seconds_total 1.5\n"));
  EXPECT_THAT(text, HasSubstr("damonfs_scheme_applied_bytes_total{service=\"redis-server\",scheme="
                              "\"0\",action=\"pageout\"} 12345678901234\n"));
  EXPECT_THAT(text, HasSubstr("damonfs_kdamond_running{service=\"off\"} 0\n"));
  EXPECT_THAT(text, Not(HasSubstr("kind=\"file\"} 0\ndamonfs_memory")));
  EXPECT_TRUE(text.ends_with("\n# EOF\n"));
}

TEST(Exposition, PrometheusText) {
  const std::string text = text_of(sample_of("redis-server"), Exposition::prometheus);
  EXPECT_THAT(text, HasSubstr("# TYPE damonfs_cpu_seconds_total counter\n"));
  EXPECT_THAT(text, Not(HasSubstr("# EOF")));
  EXPECT_THAT(text, Not(HasSubstr("# UNIT")));
}

TEST(Exposition, NamesAreEscaped) {
  const std::string text = text_of(sample_of("a\"b\\c\nd\xff\x01"));
  EXPECT_THAT(text, HasSubstr("service=\"a\\\"b\\\\c\\nd\xef\xbf\xbd\xef\xbf\xbd\""));
}

TEST(Exposition, NoSeriesTwice) {
  std::set<std::string> seen;
  const std::string text = text_of(sample_of("x"));
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\n', at);
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    if (line.starts_with('#')) continue;
    EXPECT_TRUE(seen.insert(line.substr(0, line.rfind(' '))).second) << line;
  }
}

TEST(Exposition, SchemesAreBounded) {
  MetricsSample sample = sample_of("x");
  sample.services[0].context->summary.schemes.resize(1000);
  EXPECT_THAT(text_of(sample), Not(HasSubstr("scheme=\"32\"")));
  EXPECT_THAT(text_of(sample), HasSubstr("scheme=\"31\""));
}

TEST(Exposition, AccessStat) {
  MetricsSample sample = sample_of("x");
  EXPECT_THAT(text_of(sample), Not(HasSubstr("damonfs_stat")));
  sample.access_stat.emplace();
  sample.access_stat->idle_ms[99] = 2500;
  sample.access_stat->idle_ms[1] = -100;
  EXPECT_THAT(text_of(sample), HasSubstr("damonfs_stat_idle_seconds{percentile=\"99\"} 2.5\n"));
  EXPECT_THAT(text_of(sample), HasSubstr("damonfs_stat_idle_seconds{percentile=\"1\"} -0.1\n"));
}

TEST(LabelText, ValidTextStays) {
  for (const char* text :
       {"", "nginx", "a b", "line\nbreak", "\xc3\xbc", "\xe2\x82\xac", "\xf0\x9f\x98\x80"}) {
    EXPECT_EQ(label_text(text), text);
  }
}

TEST(LabelText, WhatIsNoTextIsReplaced) {
  const std::string bad = "\xef\xbf\xbd";
  EXPECT_EQ(label_text("a\xff"), "a" + bad);
  EXPECT_EQ(label_text("\x1b[31m"), bad + "[31m");
  EXPECT_EQ(label_text("\r\t\x7f"), bad + bad + bad);
  EXPECT_EQ(label_text("\xc3"), bad);                                // cut off
  EXPECT_EQ(label_text("\xc0\xaf"), bad + bad);                      // overlong
  EXPECT_EQ(label_text("\xed\xa0\x80"), bad + bad + bad);            // a surrogate
  EXPECT_EQ(label_text("\xf4\x90\x80\x80"), bad + bad + bad + bad);  // beyond Unicode
}

TEST(LabelText, WhatIsTooLongIsCutAtACharacter) {
  EXPECT_EQ(label_text("abcdefgh", 8), "abcdefgh");
  EXPECT_EQ(label_text("abcdefghi", 8), "abcde...");
  EXPECT_EQ(label_text("abcd\xe2\x82\xac"
                       "fghi",
                       9),
            "abcd...");
  EXPECT_EQ(label_text(std::string(10'000, '\xff')).size(), 255U);
}

}  // namespace
}  // namespace damonfs::test
