#include "services/selector.h"

#include <gtest/gtest.h>

namespace damonfs {
namespace {

std::string round_trip(std::string_view text) {
  const auto selector = parse_selector(text);
  return selector ? to_string(*selector) : "!" + selector.error().message;
}

TEST(Selector, WordsComeBack) {
  for (const char* text :
       {"unit redis-server.service", "unit user@0.service", "unit system.slice", "cgroup /",
        "cgroup /a/b c", "tree 17", "tree 17 started 4711", "comm redis-server", "comm two words",
        "comm a\\nb\\xff", "pids 1 2 3"}) {
    EXPECT_EQ(text, round_trip(text));
    EXPECT_EQ(text, round_trip(std::string(text) + "\n"));
  }
}

TEST(Selector, IsForgivingWhereItIsClear) {
  EXPECT_EQ("unit redis-server.service", round_trip("unit redis-server"));
  EXPECT_EQ("unit postgresql@15-main.service", round_trip("unit postgresql@15-main"));
  EXPECT_EQ("cgroup /a/b", round_trip("cgroup a/b/"));
  EXPECT_EQ("cgroup /a", round_trip("cgroup /sys/fs/cgroup/a"));
  EXPECT_EQ("cgroup /a", round_trip("cgroup sys/fs/cgroup/a"));
  EXPECT_EQ("cgroup /a", round_trip("cgroup /sys/fs/cgroup/sys/fs/cgroup/a"));
  EXPECT_EQ("cgroup /sys/fs/cgroups", round_trip("cgroup /sys/fs/cgroup/sys/fs/cgroups"));
  EXPECT_EQ("cgroup /", round_trip("cgroup /sys/fs/cgroup"));
  EXPECT_EQ("cgroup /", round_trip("cgroup /sys/fs/cgroup/"));
  EXPECT_EQ("pids 3 1", round_trip("pids 3 1 3"));
}

TEST(Selector, RefusesWhatMeansNothing) {
  for (const char* text : {"",
                           "redis",
                           "unit",
                           "unit ",
                           "unit a/b",
                           "cgroup",
                           "cgroup /a/../b",

                           "cgroup .",
                           "cgroup a//b",
                           "tree",
                           "tree 0",
                           "tree -1",
                           "tree 1 2",
                           "tree 1x",
                           "tree 1 started",
                           "tree 1 started 0",
                           "tree 1 started x",
                           "tree started 1",
                           "comm",
                           "comm ",
                           "comm a\\q",
                           "pids",
                           "pids x",
                           "pids 99999999999",
                           "unit a\\nb",
                           "Unit a"}) {
    const auto selector = parse_selector(text);
    ASSERT_FALSE(selector) << text;
    EXPECT_EQ(EINVAL, selector.error().code) << text;
    EXPECT_EQ(std::string::npos, selector.error().message.find('\n')) << text;
  }
  EXPECT_FALSE(pids_selector({}));
  EXPECT_FALSE(pids_selector({1, 0}));
}

TEST(ServiceName, IsWhatUsersCallIt) {
  EXPECT_EQ(service_name(*unit_selector("nginx")), "nginx.service");
  EXPECT_EQ(service_name(*cgroup_selector("/a/b")), "/a/b");
  EXPECT_EQ(service_name(*comm_selector("a\nb")), "a\nb");
  EXPECT_EQ(service_name(*tree_selector(17)), "tree 17");
  EXPECT_EQ(service_name(*pids_selector({1, 2})), "pids 1 2");
}

}  // namespace
}  // namespace damonfs
