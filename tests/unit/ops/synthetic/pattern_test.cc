#include "ops/synthetic/pattern.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <span>
#include <string>

#include "ops/synthetic/units.h"
#include "tests/unit/ops/temp_tree.h"

namespace damonfs {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

constexpr const char* kWhole = R"(
# A comment.
clock virtual
seed 0x10           # of chance

process 1234
  map heap  0x10000000 256M
  map stack 0x7ff000000000 128K
  map lib   0x7f0000000000 4M huge 2M
  phase 10s
    access heap 0 16M 200/s
    access heap 16M 4K always
    access lib 0x200000 1M 2.5%
    absent stack
  phase 1500ms
    access heap 5%
end exit

process *
map only 4K 1T
phase 2h
)";

Pattern parsed(const std::string& text) {
  auto pattern = parse_pattern(text);
  EXPECT_TRUE(pattern) << pattern.error().message;
  return pattern.value_or(Pattern());
}

TEST(PatternTest, ReadsEveryKindOfLine) {
  const Pattern pattern = parsed(kWhole);
  EXPECT_TRUE(pattern.virtual_clock);
  EXPECT_EQ(16U, pattern.seed);
  ASSERT_EQ(2U, pattern.processes.size());
  const PatternProcess& process = pattern.processes[0];
  EXPECT_EQ(1234, process.pid);
  EXPECT_EQ(PatternEnd::exit, process.end);
  ASSERT_EQ(3U, process.mappings.size());
  EXPECT_EQ("heap", process.mappings[0].name);
  EXPECT_EQ((AddrRange{0x10000000, 0x20000000}), process.mappings[0].range);
  EXPECT_EQ(4096U, process.mappings[0].leaf_sz);
  EXPECT_EQ("lib", process.mappings[1].name) << "by address";
  EXPECT_EQ(2U << 20, process.mappings[1].leaf_sz);
  EXPECT_EQ((AddrRange{0x7ff000000000, 0x7ff000020000}), process.mappings[2].range);

  ASSERT_EQ(2U, process.phases.size());
  const PatternPhase& first = process.phases[0];
  EXPECT_EQ(10000000000U, first.duration_ns);
  EXPECT_THAT(first.absent, ElementsAre(2U));
  ASSERT_EQ(3U, first.accesses.size());
  EXPECT_EQ((AddrRange{0x10000000, 0x11000000}), first.accesses[0].range);
  EXPECT_DOUBLE_EQ(200, first.accesses[0].rate.per_second);
  EXPECT_FALSE(first.accesses[0].rate.always);
  EXPECT_EQ((AddrRange{0x11000000, 0x11001000}), first.accesses[1].range);
  EXPECT_TRUE(first.accesses[1].rate.always);
  EXPECT_EQ((AddrRange{0x7f0000200000, 0x7f0000300000}), first.accesses[2].range);
  EXPECT_DOUBLE_EQ(0.025, first.accesses[2].rate.per_interval);
  EXPECT_EQ(1500000000U, process.phases[1].duration_ns);
  EXPECT_EQ(process.mappings[0].range, process.phases[1].accesses[0].range);
  EXPECT_EQ(11500000000U, process.length_ns());

  EXPECT_FALSE(pattern.processes[1].pid);
  EXPECT_EQ(PatternEnd::hold, pattern.processes[1].end);
  EXPECT_EQ(uint64_t{1} << 40, pattern.processes[1].mappings[0].range.size());
  EXPECT_EQ(7200000000000U, pattern.length_ns());
}

TEST(PatternTest, DefaultsOfAShortFile) {
  const Pattern pattern = parsed("process 7\nmap m 0 4K\nphase 1us");
  EXPECT_FALSE(pattern.virtual_clock);
  EXPECT_EQ(1U, pattern.seed);
  EXPECT_EQ(PatternEnd::hold, pattern.processes[0].end);
}

TEST(PatternTest, FindsProcessesByNumber) {
  const Pattern pattern = parsed(kWhole);
  EXPECT_EQ(&pattern.processes[0], pattern.find(1234));
  EXPECT_EQ(&pattern.processes[1], pattern.find(1));
  const Pattern closed = parsed("process 7\nmap m 0 4K\nphase 1s\n");
  EXPECT_EQ(nullptr, closed.find(8));
}

TEST(PatternTest, BlanksAndLineEndsDoNotMatter) {
  const Pattern pattern = parsed("\r\n\t process\t7 \r\nmap   m 0 4K# close by\r\nphase 1s\r\n#");
  EXPECT_EQ(7, pattern.processes[0].pid);
}

struct Bad {
  const char* text;
  const char* line;
  const char* message;
};

// Each is refused, naming the line.
void expect_refused(std::span<const Bad> all) {
  for (const Bad& bad : all) {
    const auto pattern = parse_pattern(bad.text);
    ASSERT_FALSE(pattern) << bad.text;
    EXPECT_EQ(EINVAL, pattern.error().code) << bad.text;
    EXPECT_THAT(pattern.error().message, StartsWith(bad.line)) << bad.text;
    EXPECT_THAT(pattern.error().message, HasSubstr(bad.message)) << bad.text;
  }
}

TEST(PatternTest, MachinesAndFiles) {
  const auto pattern = parse_pattern(
      "memory 2G\nprocess 1\nmap a 0 4K\nmap b 4K 4K file\nmap c 2M 2M huge 2M file unknown\nphase "
      "1s\n");
  ASSERT_TRUE(pattern);
  EXPECT_EQ(uint64_t{2} << 30, pattern->memory);
  const auto& mappings = pattern->processes[0].mappings;
  EXPECT_FALSE(mappings[0].file);
  EXPECT_TRUE(mappings[1].file);
  EXPECT_TRUE(mappings[2].file);
  EXPECT_FALSE(mappings[1].unknown);
  EXPECT_TRUE(mappings[2].unknown);
  EXPECT_EQ(2U << 20, mappings[2].leaf_sz);
}

TEST(BadPatternTest, Lines) {
  static constexpr Bad kBad[] = {Bad{"", "line 0", "no process"},
                                 Bad{"# nothing\n", "line 1", "no process"},
                                 Bad{"clock\n", "line 1", "clock real"},
                                 Bad{"\nclock fast\n", "line 2", "clock real"},
                                 Bad{"seed\n", "line 1", "seed NUMBER"},
                                 Bad{"seed -1\n", "line 1", "'-1'"},
                                 Bad{"seed 99999999999999999999\n", "line 1", "too big"},
                                 Bad{"memory\n", "line 1", "memory SIZE"},
                                 Bad{"memory 0\n", "line 1", "some memory"},
                                 Bad{"memory much\n", "line 1", "'much' is no size"},
                                 Bad{"rubbish 1 2\n", "line 1", "'rubbish' is no keyword"},
                                 Bad{"map m 0 4K\n", "line 1", "`process`"},
                                 Bad{"phase 1s\n", "line 1", "`process`"},
                                 Bad{"end hold\n", "line 1", "`process`"},
                                 Bad{"access m always\n", "line 1", "`phase`"},
                                 Bad{"process\n", "line 1", "process PID"},
                                 Bad{"process 0\n", "line 1", "process id"},
                                 Bad{"process -3\n", "line 1", "'-3'"},
                                 Bad{"process 2147483648\n", "line 1", "process id"},
                                 Bad{"process 1\n", "line 1", "no phase"},
                                 Bad{"process 1\nprocess 2\nphase 1s\n", "line 2", "no phase"},
                                 Bad{"process 1\nphase 1s\nprocess 1\n", "line 3", "already"},
                                 Bad{"process *\nphase 1s\nprocess *\n", "line 3", "already"}};
  expect_refused(kBad);
}

TEST(BadPatternTest, Mappings) {
  static constexpr Bad kBad[] = {
      Bad{"process 1\nmap m 0\n", "line 2", "map NAME"},
      Bad{"process 1\nmap m 0 4K big 2M\n", "line 2", "map NAME"},
      Bad{"process 1\nmap m 0 4K huge\n", "line 2", "map NAME"},
      Bad{"process 1\nmap m 0 file\n", "line 2", "'file' is no size"},
      Bad{"process 1\nmap m 0 4K file huge 2M\n", "line 2", "map NAME"},
      Bad{"process 1\nmap m 0 4k\n", "line 2", "'4k' is no size"},
      Bad{"process 1\nmap m zero 4K\n", "line 2", "'zero' is no size"},
      Bad{"process 1\nmap m 0 0\n", "line 2", "not 0"},
      Bad{"process 1\nmap m 1K 4K\n", "line 2", "multiples of 4K"},
      Bad{"process 1\nmap m 0 5K\n", "line 2", "multiples of 4K"},
      Bad{"process 1\nmap m 4K 2M huge 2M\n", "line 2", "multiples of 2M"},
      Bad{"process 1\nmap m 0 1M huge 2M\n", "line 2", "multiples of 2M"},
      Bad{"process 1\nmap m 0 12K huge 12K\n", "line 2", "power of two"},
      Bad{"process 1\nmap m 0 4K huge 2K\n", "line 2", "at least 4K"},
      Bad{"process 1\nmap m 0 99999999T\n", "line 2", "too big"},
      Bad{"process 1\nmap m 0x7ffffffffffff000 8K\n", "line 2", "address space"},
      Bad{"process 1\nmap m 0 4K\nmap m 8K 4K\n", "line 3", "already"},
      Bad{"process 1\nmap m 0 8K\nmap n 4K 4K\n", "line 3", "overlaps m"},
      Bad{"process 1\nphase 1s\nmap m 0 8K\n", "line 3", "before the first phase"}};
  expect_refused(kBad);
}

TEST(BadPatternTest, Phases) {
  static constexpr Bad kBad[] = {
      Bad{"process 1\nphase\n", "line 2", "phase DURATION"},
      Bad{"process 1\nphase 10\n", "line 2", "'10' is no duration"},
      Bad{"process 1\nphase 1.5s\n", "line 2", "'1.5s' is no duration"},
      Bad{"process 1\nphase 0s\n", "line 2", "some time"},
      Bad{"process 1\nphase 99999999999h\n", "line 2", "too big"},
      Bad{"process 1\nphase 2000000h\n", "line 2", "years"},
      Bad{"process 1\nphase 1200000h\nphase 1200000h\n", "line 3", "years"},
      Bad{"process 1\nphase 1s\nend\n", "line 3", "end hold"},
      Bad{"process 1\nphase 1s\nend now\n", "line 3", "end hold"},
      Bad{"process 1\nmap m 0 8K\naccess m always\n", "line 3", "`phase`"},
      Bad{"process 1\nmap m 0 8K\nphase 1s\naccess m\n", "line 4", "access NAME"},
      Bad{"process 1\nmap m 0 8K\nphase 1s\naccess m 0 always\n", "line 4", "access NAME"},
      Bad{"process 1\nmap m 0 8K\nphase 1s\naccess n always\n", "line 4", "no mapping 'n'"},
      Bad{"process 1\nmap m 0 8K\nphase 1s\naccess m 0 12K always\n", "line 4", "leaves"},
      Bad{"process 1\nmap m 0 8K\nphase 1s\naccess m 12K 4K always\n", "line 4", "leaves"},
      Bad{"process 1\nmap m 0 8K\nphase 1s\naccess m 1 4K always\n", "line 4", "multiples"},
      Bad{"process 1\nmap m 0 8K\nphase 1s\naccess m 0 0 always\n", "line 4", "multiples"},
      Bad{"process 1\nmap m 0 8K\nphase 1s\nabsent n\n", "line 4", "no mapping 'n'"},
      Bad{"process 1\nmap m 0 8K\nphase 1s\nabsent\n", "line 4", "absent NAME"},
      Bad{"process 1\nmap m 0 8K\nphase 1s\naccess m often\n", "line 4", "'often' is no rate"},
      Bad{"process 1\nmap m 0 8K\nphase 1s\naccess m 101%\n", "line 4", "no rate"},
      Bad{"process 1\nmap m 0 8K\nphase 1s\naccess m -1/s\n", "line 4", "no rate"},
      Bad{"process 1\nmap m 0 8K\nphase 1s\naccess m inf/s\n", "line 4", "no rate"},
      Bad{"process 1\nmap m 0 8K\nphase 1s\naccess m nan%\n", "line 4", "no rate"},
      Bad{"process 1\nmap m 0 8K\nphase 1s\naccess m 5\n", "line 4", "no rate"}};
  expect_refused(kBad);
}

TEST(PatternWordsTest, Units) {
  EXPECT_EQ(123U, *parse_number("123"));
  EXPECT_EQ(0x7bU, *parse_number("0x7b"));
  EXPECT_EQ(UINT64_MAX, *parse_number("0xffffffffffffffff"));
  EXPECT_EQ(4096U, *parse_size("4K"));
  EXPECT_EQ(0x10U << 20, *parse_size("0x10M"));
  EXPECT_EQ(uint64_t{3} << 40, *parse_size("3T"));
  EXPECT_EQ(7000U, *parse_duration_ns("7us"));
  EXPECT_EQ(120000000000U, *parse_duration_ns("2min"));
  EXPECT_TRUE(parse_rate("always")->always);
  EXPECT_DOUBLE_EQ(0.5, parse_rate("0.5/s")->per_second);
  EXPECT_DOUBLE_EQ(1, parse_rate("100%")->per_interval);
  for (const char* word : {"", "K", "0x", "1 2", "1KK", "18446744073709551616"}) {
    EXPECT_FALSE(parse_size(word)) << word;
  }
}

TEST(PatternFileTest, IsReadAndReported) {
  const TempTree tree;
  tree.write("good", kWhole);
  tree.write("bad", "process 1\nrubbish\n");
  EXPECT_TRUE(load_pattern(tree.path("good")));
  const auto bad = load_pattern(tree.path("bad"));
  ASSERT_FALSE(bad);
  EXPECT_EQ(EINVAL, bad.error().code);
  EXPECT_THAT(bad.error().message, HasSubstr(tree.path("bad")));
  EXPECT_THAT(bad.error().message, HasSubstr("line 2"));
  const auto missing = load_pattern(tree.path("missing"));
  ASSERT_FALSE(missing);
  EXPECT_EQ(ENOENT, missing.error().code);
  const auto folder = load_pattern(tree.path("proc"));
  ASSERT_FALSE(folder);
  EXPECT_EQ(EISDIR, folder.error().code);
}

}  // namespace
}  // namespace damonfs
