#include "fs/cli/time_option.h"

#include <gtest/gtest.h>

namespace damonfs {
namespace {

TEST(TimeOptionTest, TakesUnitsAndBareSeconds) {
  EXPECT_EQ(parse_time_option("10s").value(), 10'000'000'000u);
  EXPECT_EQ(parse_time_option("500ms").value(), 500'000'000u);
  EXPECT_EQ(parse_time_option("5us").value(), 5'000u);
  EXPECT_EQ(parse_time_option("2min").value(), 120'000'000'000u);
  EXPECT_EQ(parse_time_option("2m").value(), 120'000'000'000u);
  EXPECT_EQ(parse_time_option("1.5h").value(), 5'400'000'000'000u);
  EXPECT_EQ(parse_time_option("1d").value(), 86'400'000'000'000u);
  EXPECT_EQ(parse_time_option("10").value(), 10'000'000'000u);
  EXPECT_EQ(parse_time_option("0.25").value(), 250'000'000u);
}

TEST(TimeOptionTest, RefusesTheRestAndSaysWhy) {
  for (const char* text :
       {"", "s", "ten", "10 s", "10x", "-1s", "0", "0s", "1e400", "inf", "nan", "1s2", "10sec"}) {
    EXPECT_FALSE(parse_time_option(text)) << text;
  }
  EXPECT_EQ(parse_time_option("10x").error().message,
            "'10x' is not a time; write 10s, 500ms, 2min or 1h");
  EXPECT_EQ(parse_time_option("0s").error().message,
            "'0s' is too short: some time above 0 is wanted");
  EXPECT_EQ(parse_time_option("99999999999h").error().message, "'99999999999h' is too long");
}

}  // namespace
}  // namespace damonfs
