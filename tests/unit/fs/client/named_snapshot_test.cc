#include "fs/client/named_snapshot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace damonfs {
namespace {

using testing::HasSubstr;

MemoryGroup group_of(const std::string& name, uint64_t hot, uint64_t accessed, uint64_t idle) {
  MemoryGroup group;
  group.name = name;
  group.kind = MemoryKind::file;
  group.nr_processes = 1;
  group.bytes[0] = hot;
  group.bytes[1] = accessed;
  group.bytes[2] = idle;
  return group;
}

TEST(ShortName, FitsAndIsSafe) {
  EXPECT_EQ("[heap]", short_name("[heap]", 10));
  EXPECT_EQ("libc.so.6", short_name("/usr/lib/x86_64-linux-gnu/libc.so.6", 16));
  EXPECT_EQ("a\\nb", short_name("a\nb", 16));
  EXPECT_EQ("ab", short_name("abc", 2));
  EXPECT_EQ("a", short_name("a\u00e9", 2)) << "no half of a character";
}

TEST(NameTable, HasTheFirstAndTheSumOfTheOthers) {
  const std::vector<MemoryGroup> groups = {group_of("one", 1 << 20, 2 << 20, 4 << 20),
                                           group_of("two", 0, 0, 1 << 20),
                                           group_of("three", 0, 0, 2 << 20)};
  const auto lines = name_table(groups, 1, 80);
  ASSERT_EQ(3U, lines.size());
  EXPECT_THAT(lines[1], HasSubstr("1.0 MiB     3.0 MiB     7.0 MiB  one"));
  EXPECT_THAT(lines[2], HasSubstr("3.0 MiB  2 others"));
  EXPECT_TRUE(name_table({}, 3, 80).empty());
}

TEST(NameTable, FitsIntoItsWidth) {
  const std::vector<MemoryGroup> groups = {
      group_of("/usr/lib/x86_64-linux-gnu/libprometheus-cpp-core.so.1.0", 1 << 20, 0, 0),
      group_of("two", 0, 0, 1 << 20)};
  for (const size_t width : {40, 55, 56, 80}) {
    for (const std::string& line : name_table(groups, 1, width)) EXPECT_LE(line.size(), width);
  }
  EXPECT_EQ("    1.0 MiB  libprometheus-cpp-core.so.1", name_table(groups, 1, 40)[1]);
}

TEST(GroupSnapshot, IsALineOfJson) {
  GroupSnapshot snapshot;
  Snapshot& process = snapshot.processes.emplace_back();
  process.pid = 7;
  process.regions = {{{4096, 8192}, 3, 1}};
  snapshot.by_name = {group_of("a\n\xff\"", 1, 2, 3)};
  const std::string text = to_json(snapshot);
  EXPECT_EQ(std::string::npos, text.find('\n'));
  const auto json = nlohmann::json::parse(text);
  EXPECT_EQ(7, json["processes"][0]["pid"]);
  EXPECT_EQ(8192, json["processes"][0]["regions"][0]["end"]);
  EXPECT_EQ("a\\n\\xff\"", json["names"][0]["name"]);
  EXPECT_EQ(3, json["names"][0]["accessed_bytes"]);
  EXPECT_EQ(6, json["names"][0]["bytes"]);
}

TEST(Heat, IsByTheShareOfSamples) {
  const MonitoringAttrs attrs;
  EXPECT_EQ(Heat::idle, heat_of({{0, 1}, 0, 0}, attrs));
  EXPECT_EQ(Heat::accessed, heat_of({{0, 1}, 9, 0}, attrs));
  EXPECT_EQ(Heat::hot, heat_of({{0, 1}, 10, 0}, attrs));
}

}  // namespace
}  // namespace damonfs
